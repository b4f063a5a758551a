"""One page each: widgets in, engine call, charts out."""
