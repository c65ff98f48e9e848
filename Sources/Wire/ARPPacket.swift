import Base

/// An ARP or RARP packet for IPv4 over Ethernet (RFC 826).
public struct ARPView {
    @usableFromInline let start: UnsafeRawPointer

    /// Bytes of the header.
    @inlinable public static var byteCount: Int { 28 }

    enum Offset {
        static let hardwareType = 0
        static let protocolType = 2
        static let hardwareLength = 4
        static let protocolLength = 5
        static let operation = 6
        static let senderHardwareAddress = 8
        static let senderProtocolAddress = 14
        static let targetHardwareAddress = 18
        static let targetProtocolAddress = 24
    }

    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.start(for: Self.byteCount) else { return nil }
        self.start = start
    }

    /// 1 for Ethernet.
    public var hardwareType: UInt16 { start.be16(Offset.hardwareType) }
    /// 0x0800 for IPv4.
    public var protocolType: UInt16 { start.be16(Offset.protocolType) }
    /// 6.
    public var hardwareLength: UInt8 { start.byte(Offset.hardwareLength) }
    /// 4.
    public var protocolLength: UInt8 { start.byte(Offset.protocolLength) }
    /// 1 request, 2 reply.
    public var operation: UInt16 { start.be16(Offset.operation) }
    public var senderHardwareAddress: UInt64 { start.be48(Offset.senderHardwareAddress) }
    public var senderProtocolAddress: UInt32 { start.be32(Offset.senderProtocolAddress) }
    public var targetHardwareAddress: UInt64 { start.be48(Offset.targetHardwareAddress) }
    public var targetProtocolAddress: UInt32 { start.be32(Offset.targetProtocolAddress) }

    /// Whether the packet maps IPv4 to Ethernet addresses, so that the addresses are what they are called.
    public var isIPv4OverEthernet: Bool {
        hardwareType == 1 && protocolType == 0x0800 && hardwareLength == 6 && protocolLength == 4
    }
}

/// See `ARPView`.
public struct ARPPacket: WireHeader {
    public var hardwareType: UInt16
    public var protocolType: UInt16
    public var hardwareLength: UInt8
    public var protocolLength: UInt8
    public var operation: UInt16
    public var senderHardwareAddress: UInt64
    public var senderProtocolAddress: UInt32
    public var targetHardwareAddress: UInt64
    public var targetProtocolAddress: UInt32

    public init(
        hardwareType: UInt16, protocolType: UInt16, hardwareLength: UInt8, protocolLength: UInt8, operation: UInt16,
        senderHardwareAddress: UInt64, senderProtocolAddress: UInt32, targetHardwareAddress: UInt64,
        targetProtocolAddress: UInt32
    ) {
        self.hardwareType = hardwareType
        self.protocolType = protocolType
        self.hardwareLength = hardwareLength
        self.protocolLength = protocolLength
        self.operation = operation
        self.senderHardwareAddress = senderHardwareAddress
        self.senderProtocolAddress = senderProtocolAddress
        self.targetHardwareAddress = targetHardwareAddress
        self.targetProtocolAddress = targetProtocolAddress
    }

    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? {
        guard let view = ARPView(bytes) else { return nil }
        return Self(
            hardwareType: view.hardwareType, protocolType: view.protocolType, hardwareLength: view.hardwareLength,
            protocolLength: view.protocolLength, operation: view.operation,
            senderHardwareAddress: view.senderHardwareAddress, senderProtocolAddress: view.senderProtocolAddress,
            targetHardwareAddress: view.targetHardwareAddress, targetProtocolAddress: view.targetProtocolAddress)
    }

    public var byteCount: Int { ARPView.byteCount }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store16(hardwareType, ARPView.Offset.hardwareType)
        start.store16(protocolType, ARPView.Offset.protocolType)
        start.store8(hardwareLength, ARPView.Offset.hardwareLength)
        start.store8(protocolLength, ARPView.Offset.protocolLength)
        start.store16(operation, ARPView.Offset.operation)
        start.store48(senderHardwareAddress, ARPView.Offset.senderHardwareAddress)
        start.store32(senderProtocolAddress, ARPView.Offset.senderProtocolAddress)
        start.store48(targetHardwareAddress, ARPView.Offset.targetHardwareAddress)
        start.store32(targetProtocolAddress, ARPView.Offset.targetProtocolAddress)
        return true
    }
}
