/// What `capture` takes behind the file.
struct CaptureSettings: Configurable {
    var count: Int?
    var filter: String?

    static let keys = [
        SettingKey("count", "N", "(no end)", "frames after which the capture ends by itself"),
        SettingKey("filter", "EXPR", "(everything)", "frames to take, an expression of pcap-filter(7)"),
    ]

    mutating func set(_ key: String, _ value: String) throws(SettingError) {
        if key == "count" {
            count = try value.isEmpty ? nil : SettingValue.integer(value, 1...Int.max)
        } else {
            filter = value.isEmpty ? nil : value
        }
    }

    var settings: [Setting] {
        [count.map { Setting("count", String($0)) }, filter.map { Setting("filter", $0) }].compactMap { $0 }
    }

    func validate() throws(SettingError) {}
}
