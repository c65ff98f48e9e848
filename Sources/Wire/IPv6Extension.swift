import Base

/// One extension header of IPv6: hop-by-hop (0), routing (43), fragment (44), authentication (51) or destination
/// options (60) (RFC 8200, section 4; RFC 4302).
public struct IPv6Extension: WireHeader {
    /// What kind of header this is: the `nextHeader` of the header in front of it.
    public var kind: UInt8
    public var nextHeader: UInt8
    /// Everything behind the first byte: the length field (reserved in a fragment header) and the content.
    public var content: [UInt8]

    public static func isExtension(_ kind: UInt8) -> Bool {
        kind == 0 || kind == 43 || kind == 44 || kind == 51 || kind == 60
    }

    /// Bytes of a header of `kind` with this length field.
    static func byteCount(_ kind: UInt8, lengthField: UInt8) -> Int {
        switch kind {
        case 44: 8
        case 51: (Int(lengthField) + 2) * 4
        default: (Int(lengthField) + 1) * 8
        }
    }

    /// A header of `kind` at the start of `bytes`; nil if it is none of the five, or cut short. All of them have at
    /// least 8 bytes.
    public init?(kind: UInt8, _ bytes: UnsafeRawBufferPointer) {
        guard Self.isExtension(kind), let start = bytes.start(for: 8) else { return nil }
        let count = Self.byteCount(kind, lengthField: start.byte(1))
        guard count >= 8, bytes.count >= count else { return nil }
        self.kind = kind
        nextHeader = start.byte(0)
        content = start.array(1..<count)
    }

    /// A hop-by-hop header; another kind needs `init(kind:_:)`, since the bytes do not say it.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Self? { Self(kind: 0, bytes) }

    public var byteCount: Int { 1 + content.count }

    public func emit(into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let start = bytes.start(for: byteCount) else { return false }
        start.store8(nextHeader, 0)
        start.store(content, 1)
        return true
    }

    /// Fragment header: offset in units of 8 bytes, and whether more follow.
    public var fragment: (offset: UInt16, moreFragments: Bool)? {
        guard kind == 44, content.count == 7 else { return nil }
        let field = UInt16(content[1]) << 8 | UInt16(content[2])
        return (field >> 3, field & 1 != 0)
    }

    /// Routing header: segments left.
    public var segmentsLeft: UInt8? { kind == 43 && content.count >= 3 ? content[2] : nil }
}

/// The chain of extension headers behind an IPv6 header.
public struct IPv6ExtensionChain: Equatable, Sendable {
    public private(set) var headers: [IPv6Extension] = []
    /// The protocol behind the chain; of a fragment that is not the first, 44.
    public private(set) var nextHeader: UInt8
    /// Bytes of the chain.
    public private(set) var byteCount = 0

    /// Follows the chain from `nextHeader` on; nil if a header is cut short.
    public init?(nextHeader first: UInt8, _ bytes: UnsafeRawBufferPointer) {
        nextHeader = first
        while IPv6Extension.isExtension(nextHeader) {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[byteCount...])
            guard let header = IPv6Extension(kind: nextHeader, rest) else { return nil }
            headers.append(header)
            byteCount += header.byteCount
            if let fragment = header.fragment, fragment.offset != 0 { return }
            nextHeader = header.nextHeader
        }
    }
}
