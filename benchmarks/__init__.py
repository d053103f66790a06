"""Speed and memory beside other libraries; nothing here is a test. See benchmarks/README.md."""
