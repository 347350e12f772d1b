"""Models and the streams that run them: ``Model``, ``Stream`` (one state), ``Pool`` (many states)."""
