"""An ONNX graph -> a network that runs as a stream: one module for each kind of operators, ``read`` over them all."""
