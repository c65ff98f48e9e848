import Base
import CLinux

/// A line of an FTP control connection, as far as it announces a data connection: the commands PORT and EPRT and the
/// replies 227 (to PASV) and 229 (to EPSV) (RFC 959, section 4.1.2; RFC 2428).
///
/// Only a line at the beginning of a segment is looked at, and what is announced must be followed by something that ends
/// it: a number that goes on in the next segment is not taken for a shorter one.
package enum FTPMessage: Equatable {
    /// Announces nothing.
    case other
    /// Begins like an announcement and is none.
    case invalid
    case announcement(FTPAnnouncement)

    /// Longest line that is looked at.
    static var longest: Int { 128 }

    package init(_ payload: UnsafeRawBufferPointer, isIPv6: Bool) {
        var line = FTPLine(bytes: UnsafeRawBufferPointer(rebasing: payload.prefix(Self.longest)))
        let parsed: FTPAnnouncement?
        if line.take("PORT ") || line.take("227 ") || line.take("227-") {
            guard !isIPv6 else {
                self = .other
                return
            }
            parsed = line.commaSeparated(isPassive: payload[0] == UInt8(ascii: "2"))
        } else if line.take("EPRT ") {
            parsed = line.extendedPort(isIPv6: isIPv6)
        } else if line.take("229 ") {
            parsed = line.extendedPassive()
        } else {
            self = .other
            return
        }
        self = parsed.map { .announcement($0) } ?? .invalid
    }
}

package struct FTPAnnouncement: Equatable {
    /// The server waits for the connection; else the client does.
    package var isPassive: Bool
    /// Where it waits; nil if that is the address it is reached by already.
    package var address: UInt128?
    /// Place of the address in the payload.
    package var addressStart = 0
    package var addressCount = 0
    /// Numbers of the address are separated by commas, not dots.
    package var hasCommas = false
    package var port: UInt16
}

/// A reader that never leaves its line.
private struct FTPLine {
    let bytes: UnsafeRawBufferPointer
    var at = 0

    /// The next byte; 0 at the end.
    var next: UInt8 { at < bytes.count ? bytes[at] : 0 }

    /// Skips `text`, letters of either case, if it is what comes next.
    mutating func take(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count &- at >= count else { return false }
        for i in 0..<count {
            let wanted = text.utf8Start[i]
            let isLetter = wanted >= 65 && wanted <= 90
            guard bytes[at &+ i] == wanted || isLetter && bytes[at &+ i] == wanted | 0x20 else { return false }
        }
        at &+= count
        return true
    }

    /// A number of at most `digits` digits that is not greater than `limit`; no further digit may follow.
    mutating func number(digits: Int, limit: Int) -> Int? {
        var value = 0
        let start = at
        while next >= 48, next <= 57 {
            guard at &- start < digits else { return nil }
            value = value &* 10 &+ Int(next &- 48)
            at &+= 1
        }
        return at > start && value <= limit ? value : nil
    }

    mutating func skipToDigit() -> Bool {
        while at < bytes.count, next != 13, next != 10 {
            if next >= 48, next <= 57 { return true }
            at &+= 1
        }
        return false
    }

    /// `192,168,1,2,10,20`, maybe behind words and a parenthesis.
    mutating func commaSeparated(isPassive: Bool) -> FTPAnnouncement? {
        guard skipToDigit() else { return nil }
        var result = FTPAnnouncement(isPassive: isPassive, addressStart: at, hasCommas: true, port: 0)
        var address: UInt128 = 0
        var port = 0
        for i in 0..<6 {
            if i > 0 {
                guard next == UInt8(ascii: ",") else { return nil }
                if i == 4 { result.addressCount = at &- result.addressStart }
                at &+= 1
            }
            guard let value = number(digits: 3, limit: 255) else { return nil }
            if i < 4 { address = address << 8 | UInt128(value) } else { port = port &<< 8 | value }
        }
        guard at < bytes.count, port > 0 else { return nil }
        result.address = address
        result.port = UInt16(port)
        return result
    }

    /// `|2|2001:db8::1|5282|`, with any delimiter.
    mutating func extendedPort(isIPv6: Bool) -> FTPAnnouncement? {
        let delimiter = next
        guard delimiter >= 33, delimiter <= 126 else { return nil }
        at &+= 1
        guard next == UInt8(ascii: isIPv6 ? "2" : "1") else { return nil }
        at &+= 1
        guard next == delimiter else { return nil }
        at &+= 1
        var result = FTPAnnouncement(isPassive: false, addressStart: at, port: 0)
        while at < bytes.count, next != delimiter { at &+= 1 }
        result.addressCount = at &- result.addressStart
        guard at < bytes.count, let address = address(result, isIPv6: isIPv6) else { return nil }
        at &+= 1
        guard let port = number(digits: 5, limit: 65535), port > 0, next == delimiter else { return nil }
        result.address = address
        result.port = UInt16(port)
        return result
    }

    /// `Entering Extended Passive Mode (|||6446|)`.
    mutating func extendedPassive() -> FTPAnnouncement? {
        while at < bytes.count, next != UInt8(ascii: "(") { at &+= 1 }
        at &+= 1
        let delimiter = next
        guard delimiter >= 33, delimiter <= 126 else { return nil }
        for _ in 0..<3 {
            guard next == delimiter else { return nil }
            at &+= 1
        }
        guard let port = number(digits: 5, limit: 65535), port > 0, next == delimiter else { return nil }
        return FTPAnnouncement(isPassive: true, address: nil, port: UInt16(port))
    }

    private func address(_ place: FTPAnnouncement, isIPv6: Bool) -> UInt128? {
        guard place.addressCount > 0, place.addressCount < 46 else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { scratch in
            guard let text = scratch.baseAddress, let source = bytes.baseAddress else { return nil }
            text.copyMemory(from: source + place.addressStart, byteCount: place.addressCount)
            text.storeBytes(of: 0, toByteOffset: place.addressCount, as: UInt8.self)
            let binary = text + 48
            guard inet_pton(isIPv6 ? AF_INET6 : AF_INET, text.assumingMemoryBound(to: CChar.self), binary) == 1 else {
                return nil
            }
            let view = UnsafeRawPointer(binary)
            return isIPv6 ? view.be128(0) : UInt128(view.be32(0))
        }
    }
}
