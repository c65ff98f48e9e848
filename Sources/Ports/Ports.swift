// Ports: see docs/architecture.md.
