"""What other packages cimport: ``from streamgru cimport sg_stream, sg_step``; see stream/embed.pxd."""

from streamgru.stream.embed cimport (
    SG_API_VERSION, SG_BAD_INPUT, SG_BUSY, SG_DIVERGED, SG_NOTHING_DUE, SG_STEPPED, import_streamgru,
    sg_api_version, sg_error, sg_itemsize, sg_n_in, sg_n_out, sg_outcome, sg_reset, sg_step, sg_stream, sg_stream_of,
)
