import Base

/// The extension headers of an IPv6 packet, walked over in place (RFC 8200, section 4).
struct ExtensionChain {
    /// The protocol behind the chain; 44 if the packet is a fragment other than the first.
    var ipProtocol: UInt8
    /// Offset of the first byte behind the chain.
    var end: Int
    /// Offset of the fragment header; 0 if there is none.
    var fragmentHeader = 0
    /// Its offset and flags field, as it is.
    var fragmentField: UInt16 = 0
    /// A routing header has segments left: the destination of the pseudo header is not that of the header (section 8.1).
    var isRouted = false

    /// The fragment header's field is not zero: any fragment of more than one.
    var isFragment: Bool { fragmentField != 0 }

    /// Nil if a header is cut short at `limit`.
    init?(_ frame: UnsafeRawPointer, from start: Int, to limit: Int, nextHeader: UInt8) {
        ipProtocol = nextHeader
        end = start
        while true {
            var size: Int
            switch ipProtocol {
            case 0, 43, 60:
                guard limit &- end >= 8 else { return nil }
                size = (Int(frame.byte(end &+ 1)) &+ 1) &* 8
                if ipProtocol == 43, frame.byte(end &+ 3) > 0 { isRouted = true }
            case 51:
                guard limit &- end >= 8 else { return nil }
                size = (Int(frame.byte(end &+ 1)) &+ 2) &* 4
            case 44:
                guard limit &- end >= 8 else { return nil }
                size = 8
                fragmentHeader = end
                fragmentField = frame.be16(end &+ 2)
            default:
                return
            }
            guard limit &- end >= size else { return nil }
            let isLater = ipProtocol == 44 && fragmentField & 0xfff8 != 0
            ipProtocol = isLater ? 44 : frame.byte(end)
            end &+= size
            if isLater { return }
        }
    }
}
