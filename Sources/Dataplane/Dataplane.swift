// Dataplane: see docs/architecture.md.
