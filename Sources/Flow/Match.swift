/// What a rule matches: a value for each bit that counts. Value bits outside the mask are zero.
public struct Match: Equatable, Sendable {
    public var key: FlowKey
    public var mask: FlowMask

    @inlinable public init() {
        key = FlowKey()
        mask = FlowMask()
    }
}
