// FlowCache: see docs/architecture.md.
