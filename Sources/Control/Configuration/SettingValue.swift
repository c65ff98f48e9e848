import Base

/// Why a setting was refused: what was expected instead of its value. The one who knows where the setting stands
/// puts that in front.
public struct SettingError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Readers of the values of settings, whether they come from a command line or from a configuration file.
enum SettingValue {
    static func bool(_ text: String) throws(SettingError) -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: throw SettingError("expected true or false, found \"\(text.echoed)\"")
        }
    }

    static func integer<Value: FixedWidthInteger>(
        _ text: String, _ range: ClosedRange<Value>
    ) throws(SettingError) -> Value {
        let isHex = text.hasPrefix("0x")
        guard text.first != "+", let value = Value(isHex ? String(text.dropFirst(2)) : text, radix: isHex ? 16 : 10),
            range.contains(value)
        else {
            throw SettingError(
                "expected a number from \(range.lowerBound) to \(range.upperBound), found \"\(text.echoed)\"")
        }
        return value
    }

    static func choice<Value: RawRepresentable & CaseIterable>(
        _ text: String, _: Value.Type = Value.self
    ) throws(SettingError) -> Value where Value.RawValue == String {
        if let value = Value(rawValue: text) { return value }
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingError("unknown \"\(text.echoed)\", expected one of \(known)")
    }

    static func macAddress(_ text: String) throws(SettingError) -> UInt64 {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var value: UInt64 = 0
        for part in parts {
            guard parts.count == 6, (1...2).contains(part.utf8.count), part.first != "+",
                let byte = UInt8(part, radix: 16)
            else {
                throw SettingError("expected an Ethernet address such as 02:00:00:00:00:01, found \"\(text.echoed)\"")
            }
            value = value << 8 | UInt64(byte)
        }
        return value
    }

    static func datapathID(_ text: String) throws(SettingError) -> UInt64 {
        let digits = text.hasPrefix("0x") ? String(text.dropFirst(2)) : text
        guard (1...16).contains(digits.utf8.count), digits.first != "+", let value = UInt64(digits, radix: 16),
            value != 0
        else { throw SettingError("expected up to 16 hexadecimal digits, not all zero, found \"\(text.echoed)\"") }
        return value
    }

    /// VLANs as `1,5,10-19`; empty text is nil, which means all.
    static func vlans(_ text: String) throws(SettingError) -> Set<UInt16>? {
        var set: Set<UInt16> = []
        for part in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last,
                last <= 4095
            else { throw SettingError("expected VLANs from 0 to 4095 as in 1,5,10-19, found \"\(part.echoed)\"") }
            set.formUnion(first...last)
        }
        return set.isEmpty ? nil : set
    }

    /// The name of a bridge, port or mirror.
    static func name(_ text: String) throws(SettingError) -> String {
        // What separates words, values and comments in flows, configurations and shells is not for names.
        let isFine = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !Self.signs.contains($0) }
        guard isFine, (1...63).contains(text.utf8.count), text != ".", text != "..", !text.hasPrefix("-") else {
            throw SettingError(
                "expected a name of 1 to 63 letters, digits and signs but /,:;=#()[]{}<>|\"'`\\, found \"\(text.echoed)\""
            )
        }
        return text
    }

    private static let signs = Set("/,:;=#()[]{}<>|\"'`\\".utf8)

    /// The name of a bridge or port. Flows name ports, so it must not be what means something else there.
    static func portName(_ text: String) throws(SettingError) -> String {
        let name = try name(text)
        let digits = name.lowercased().hasPrefix("0x") ? name.dropFirst(2) : name[...]
        let isNumber = digits.allSatisfy { digits.count == name.count ? $0.isNumber : $0.isHexDigit }
        if isNumber {
            throw SettingError("\"\(name)\" cannot be a name: flows would take it for the number of a port")
        }
        let word = String(name.lowercased().map { $0 == "-" ? "_" : $0 })
        if reserved.contains(word) {
            throw SettingError("\"\(name)\" cannot be a name: it means something else in flows (ovs-ofctl(8))")
        }
        return name
    }

    /// Ports that OpenFlow has of itself, and the word for no port at all.
    private static let reserved: Set = [
        "in_port", "table", "normal", "flood", "all", "controller", "local", "any", "none", "unset", "drop",
    ]

    static func show(macAddress: UInt64) -> String {
        (0..<6).map { i in
            let byte = UInt8(truncatingIfNeeded: macAddress >> UInt64(40 - 8 * i))
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined(separator: ":")
    }

    static func show(datapathID: UInt64) -> String {
        let digits = String(datapathID, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The shortest text that `vlans` reads back.
    static func show(vlans: Set<UInt16>) -> String {
        var ranges: [ClosedRange<UInt16>] = []
        for vlan in vlans.sorted() {
            if let last = ranges.last, last.upperBound + 1 == vlan {
                ranges[ranges.count - 1] = last.lowerBound...vlan
            } else {
                ranges.append(vlan...vlan)
            }
        }
        return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }
}

/// One setting as it is written: `key=value` on a command line, `key: value` in a file.
public struct Setting: Equatable, Sendable {
    public var key: String
    public var value: String

    init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }

    /// Keys may be written with `_` instead of `-`, as OVS has both.
    static func normalize(_ key: some StringProtocol) -> String {
        String(key.map { $0 == "_" ? "-" : $0 })
    }
}

/// What has settings that can be given one by one.
protocol Configurable {
    /// Keys that it has: the only list of them.
    static var keys: [SettingKey] { get }
    /// Keys that a user of Open vSwitch may try, and why they are not taken.
    static var refusals: [String: String] { get }
    /// Sets one key, which is the name of one of `keys`. An empty value sets the default where there is one.
    mutating func set(_ key: String, _ value: String) throws(SettingError)
    /// All that differs from the defaults, in the order of `keys`.
    var settings: [Setting] { get }
    /// What settings must fulfil together.
    func validate() throws(SettingError)
}

extension Configurable {
    static var refusals: [String: String] { [:] }
    static var keyNames: [String] { keys.map(\.name) }

    /// The name of a key that may be written in another way; nil if there is no such key. What ovs-vsctl calls
    /// `other_config:max-idle` is `max-idle`.
    static func name(ofKey key: some StringProtocol) -> String? {
        var normal = Setting.normalize(key)
        if normal.hasPrefix("other-config:") { normal.removeFirst("other-config:".count) }
        return keys.first { $0.name == normal || $0.aliases.contains(normal) }?.name
    }

    /// Why a key is not taken.
    static func unknown(_ key: some StringProtocol, others: [String] = []) -> SettingError {
        var normal = Setting.normalize(key)
        if normal.hasPrefix("other-config:") { normal.removeFirst("other-config:".count) }
        if let reason = refusals[normal] { return SettingError("\(normal) is not taken: \(reason)") }
        let known = (others + keyNames).joined(separator: ", ")
        return SettingError("unknown key \"\(key.echoed)\", expected one of \(known)")
    }

    /// Sets one key, which comes from outside.
    mutating func setAny(_ key: String, _ value: String) throws(SettingError) {
        guard let name = Self.name(ofKey: key) else { throw Self.unknown(key) }
        try set(name, value)
    }

    /// Applies the `key=value` words of a command, all or none.
    mutating func apply(_ words: some Sequence<String>) throws(SettingError) {
        var copy = self
        for word in words {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
                throw SettingError("expected KEY=VALUE, found \"\(word.echoed)\"")
            }
            let key = word[..<equals]
            do throws(SettingError) {
                try copy.setAny(String(key), String(word[word.index(after: equals)...]))
            } catch {
                throw Self.name(ofKey: key) != nil ? SettingError("\(key): \(error)") : error
            }
        }
        try copy.validate()
        self = copy
    }
}
