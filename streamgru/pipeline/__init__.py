"""From records to predictions: the engine, and the pipeline that feeds it."""
