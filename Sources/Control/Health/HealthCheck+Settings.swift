import Base

// Text of the settings of a check. What holds only for some kinds of check is refused with others, so that no setting
// is without effect.
extension HealthCheck {
    /// A check as `key=value` words say.
    public init(_ words: some Sequence<String>) throws(SettingError) {
        self.init()
        try apply(words)
    }
}

extension HealthCheck: Configurable {
    package static let keys = [
        SettingKey("check", "none|tcp|udp|http[:PATH]|https[:PATH]", "none", "how backends are checked"),
        SettingKey("check-interval", "TIME", "2s", "from one check of a backend to the next, 100ms to 1h"),
        SettingKey("check-timeout", "TIME", "1s", "how long an answer may take, up to check-interval"),
        SettingKey("check-rise", "N", "2", "successes in a row that bring a backend up, 1 to 1000"),
        SettingKey("check-fall", "N", "3", "failures in a row that bring it down, 1 to 1000"),
        SettingKey("check-status", "CODES", "200-399", "HTTP status codes of a backend that lives, as in 200,301-302"),
        SettingKey("check-host", "NAME", "(the address)", "Host header of HTTP and server name of TLS"),
        SettingKey("check-verify", "on|off", "off", "whether the certificate must be valid for check-host"),
        SettingKey("check-send", "TEXT", "(nothing)", "what a UDP check sends; \\xHH is a byte, \\n, \\r, \\t, \\\\"),
        SettingKey("check-silence", "up|down", "down", "what a UDP check makes of no answer and no refusal"),
        SettingKey("check-port", "N", "(the backend's)", "port that is checked"),
        SettingKey("check-source", "IP", "(the kernel's choice)", "address that checks come from"),
    ]

    package mutating func set(_ key: String, _ value: String) throws(SettingError) {
        let standard = HealthCheck()
        let isStandard = value.isEmpty
        switch key {
        case "check": try setKind(value)
        case "check-interval":
            interval = try isStandard ? standard.interval : HealthText.time(value, 100...3_600_000)
        case "check-timeout": timeout = try isStandard ? standard.timeout : HealthText.time(value, 1...3_600_000)
        case "check-rise": rise = try isStandard ? standard.rise : SettingValue.integer(value, 1...1000)
        case "check-fall": fall = try isStandard ? standard.fall : SettingValue.integer(value, 1...1000)
        case "check-status": statuses = try isStandard ? standard.statuses : HealthText.statuses(value)
        case "check-host": host = try isStandard ? nil : HealthText.host(value)
        case "check-verify": verifiesCertificate = try isStandard ? false : SettingValue.bool(value)
        case "check-send": payload = try HealthText.payload(value)
        case "check-silence":
            takesSilence = try isStandard ? false : SettingValue.choice(value, Silence.self) == .up
        case "check-port": port = try isStandard ? nil : SettingValue.integer(value, 1...65535)
        default: source = try isStandard ? nil : HealthText.address(value)
        }
    }

    private enum Silence: String, CaseIterable { case up, down }

    private mutating func setKind(_ value: String) throws(SettingError) {
        let colon = value.firstIndex(of: ":")
        let name = String(value[..<(colon ?? value.endIndex)])
        let rest = colon.map { String(value[value.index(after: $0)...]) }
        var kind: Kind?
        if !name.isEmpty, name != "none" {
            kind = Kind(rawValue: name)
            guard kind != nil else {
                throw SettingError("unknown \"\(name.echoed)\", expected one of none, tcp, udp, http, https")
            }
        }
        guard let rest else {
            (self.kind, path) = (kind, "/")
            return
        }
        guard let kind, kind.isHTTP else {
            throw SettingError("nothing may follow \"\(name.echoed)\", found \":\(rest.echoed)\"")
        }
        (self.kind, path) = (kind, try HealthText.path(rest))
    }

    package var settings: [Setting] {
        zip(all, HealthCheck().all).compactMap { $0 == $1 ? nil : $0 }
    }

    /// Every setting, an empty value standing for a default that has no other text.
    private var all: [Setting] {
        let name = kind?.rawValue ?? "none"
        return [
            Setting("check", path == "/" ? name : "\(name):\(path)"),
            Setting("check-interval", HealthText.show(time: interval)),
            Setting("check-timeout", HealthText.show(time: timeout)),
            Setting("check-rise", String(rise)), Setting("check-fall", String(fall)),
            Setting("check-status", HealthText.show(statuses: statuses)), Setting("check-host", host ?? ""),
            Setting("check-verify", verifiesCertificate ? "on" : "off"),
            Setting("check-send", HealthText.show(payload: payload)),
            Setting("check-silence", takesSilence ? "up" : "down"),
            Setting("check-port", port.map { String($0) } ?? ""),
            Setting("check-source", source?.description ?? ""),
        ]
    }

    func validate() throws(SettingError) {
        for setting in settings where setting.key != "check" {
            guard let kind else { throw SettingError("\(setting.key) needs check=tcp, udp, http or https") }
            let fits =
                switch setting.key {
                case "check-status", "check-host": kind.isHTTP
                case "check-verify": kind == .https
                case "check-send", "check-silence": kind == .udp
                default: true
                }
            guard fits else { throw SettingError("\(setting.key) has no meaning with check=\(kind.rawValue)") }
        }
        guard timeout <= interval else {
            throw SettingError(
                "check-timeout (\(HealthText.show(time: timeout))) is longer than check-interval "
                    + "(\(HealthText.show(time: interval)))")
        }
    }

    /// What makes a check impossible for a backend at `address`.
    public func validate(for address: HealthAddress) throws(SettingError) {
        if let source, !source.isSameFamily(as: address) {
            throw SettingError("check-source \(source) cannot reach \(address): one is IPv4, the other IPv6")
        }
    }
}
