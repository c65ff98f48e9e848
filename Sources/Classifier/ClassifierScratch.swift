/// Storage that a lookup needs: one per thread, passed to every lookup, so that lookups allocate nothing and the
/// classifier itself stays read-only.
public struct ClassifierScratch: ~Copyable {
    public init() {}
}
