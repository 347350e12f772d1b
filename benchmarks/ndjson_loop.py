"""The loop that a user would write over ONNX Runtime: JSON lines in, JSON lines out.

python ndjson_loop.py MODEL.onnx N_HID < in.ndjson > out.ndjson
"""

import json
import sys

import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
h = np.zeros((1, 1, int(sys.argv[2])), np.float32)
for line in sys.stdin:
    x = np.array(json.loads(line), np.float32)
    (h,) = session.run(["y"], {"x": x[None, None], "h": h})
    print(json.dumps(h[0, 0].tolist()))
