/// What is known about the device behind a port.
public struct PortStatus: Equatable, Sendable {
    public var adminUp = true
    public var carrier = true
    /// False while the device is gone.
    public var present = true
    /// Bytes of network packet.
    public var mtu = 1500
    /// 48 bits.
    public var hardwareAddress: UInt64 = 0
    /// Bits a second, 0 if unknown.
    public var speed: UInt64 = 0
    /// The last thing that went wrong, until it is right again.
    public var error: String?

    public init() {}

    public var linkUp: Bool { adminUp && carrier && present }
}
