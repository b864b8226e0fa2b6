"""llama.cpp through llama-cpp-python's low-level API. The only room that imports it, and only in some modules."""
