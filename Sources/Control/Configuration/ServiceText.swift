import Balancer
import Base
import Flow

/// Readers and writers of the values of a service's settings.
enum ServiceText {
    /// Words with commas between them, and blanks around them or not; none for an empty text.
    static func list(_ text: String) throws(SettingError) -> [String] {
        guard !text.allSatisfy({ $0 == " " }) else { return [] }
        var words: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            var word = part.drop { $0 == " " }
            while word.last == " " { word.removeLast() }
            guard !word.isEmpty else {
                throw SettingError("nothing between two commas, or before or behind one, in \"\(text.echoed)\"")
            }
            words.append(String(word))
        }
        return words
    }

    static func vip(_ text: String) throws(SettingError) -> Endpoint {
        var words = text.split(separator: "/", omittingEmptySubsequences: false)
        let ipProtocol: UInt8
        switch words.count > 1 ? words.removeLast() : "tcp" {
        case "tcp": ipProtocol = 6
        case "udp": ipProtocol = 17
        case let other: throw SettingError("unknown protocol \"\(String(other).echoed)\", expected one of tcp, udp")
        }
        guard words.count == 1 else {
            throw SettingError(
                "expected IP:PORT or [IPV6]:PORT, with /tcp or /udp behind it or not, found \"\(text.echoed)\"")
        }
        var endpoint = try endpoint(words[0])
        endpoint.ipProtocol = ipProtocol
        return endpoint
    }

    static func endpoint(_ text: some StringProtocol) throws(SettingError) -> Endpoint {
        if let endpoint = Endpoint(text) { return endpoint }
        let isBare = AddressText.ipv4(String(text)) != nil || AddressText.ipv6(String(text)) != nil
        throw SettingError(
            isBare
                ? "\"\(String(text).echoed)\" has no port, expected IP:PORT or [IPV6]:PORT"
                : "expected IP:PORT or [IPV6]:PORT, the port from 1 to 65535, found \"\(String(text).echoed)\"")
    }

    /// `IP:PORT[@WEIGHT][/MAC][/drain]`
    static func backend(_ text: String) throws(SettingError) -> BackendSpec {
        let words = text.split(separator: "/", omittingEmptySubsequences: false)
        let ends = words[0].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let endpoint = try endpoint(ends[0])
        var backend = BackendSpec(address: endpoint.address, port: endpoint.port)
        backend.isIPv6 = endpoint.isIPv6
        if ends.count > 1 { backend.weight = try weight(String(ends[1]), of: text) }
        for word in words.dropFirst() {
            if word == "drain", !backend.isDrained {
                backend.isDrained = true
            } else if backend.station == nil {
                backend.station = try station(String(word))
            } else {
                throw SettingError("unexpected \"/\(String(word).echoed)\" in \"\(text.echoed)\"")
            }
        }
        return backend
    }

    static func weight(_ text: String, of backend: String) throws(SettingError) -> UInt16 {
        guard let weight = UInt16(text), text.first != "+" else {
            throw SettingError("\"\(backend.echoed)\": expected a weight from 0 to 65535, found \"\(text.echoed)\"")
        }
        return weight
    }

    static func show(_ backend: BackendSpec) -> String {
        var text = backend.endpoint().text
        if backend.weight != 1 { text += "@\(backend.weight)" }
        if let station = backend.station { text += "/\(SettingValue.show(macAddress: station))" }
        return backend.isDrained ? text + "/drain" : text
    }

    static func station(_ text: String) throws(SettingError) -> UInt64 {
        let address = try SettingValue.macAddress(text)
        guard address & 1 << 40 == 0, address != 0 else {
            throw SettingError("expected the Ethernet address of one station, found \"\(text.echoed)\"")
        }
        return address
    }

    static func algorithm(_ text: String) throws(SettingError) -> BalancingAlgorithm {
        switch text {
        case "rr": return .roundRobin
        case "wrr": return .weightedRoundRobin
        case "lc": return .leastConnections
        case "wlc": return .weightedLeastConnections
        case "sh": return .sourceHash
        case "dh": return .destinationHash
        default: return try SettingValue.choice(text)
        }
    }

    /// `IP[-IP]`, and whether they are IPv6.
    static func addresses(_ text: String) throws(SettingError) -> (ClosedRange<UInt128>, Bool) {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(ends.count), let last = ends.last else { throw malformed(text) }
        if let low = AddressText.ipv4(ends[0]), let high = AddressText.ipv4(last) {
            guard low <= high else { throw malformed(text) }
            return (UInt128(low)...UInt128(high), false)
        }
        guard let low = AddressText.ipv6(ends[0]), let high = AddressText.ipv6(last), low <= high else {
            throw malformed(text)
        }
        return (low...high, true)
    }

    private static func malformed(_ text: String) -> SettingError {
        SettingError(
            "expected an address, or the first and the last of a range as in 10.0.0.1-10.0.0.9, found \"\(text.echoed)\""
        )
    }
}
