"""Networks that a file describes itself: the graphs of Caffe, ONNX and Keras as layers of ours."""
