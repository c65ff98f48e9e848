import Base

extension SwitchModel {
    public func addMeter(_ meter: Meter, to bridge: String, now: UInt64) throws(StateError) {
        let bridge = try self.bridge(bridge)
        guard bridge.meters[meter.id] == nil else {
            throw StateError(.meterExists, "meter \(meter.id) exists already")
        }
        try set(meter, on: bridge, created: now)
    }

    public func modifyMeter(_ meter: Meter, of bridge: String) throws(StateError) {
        let bridge = try self.bridge(bridge)
        guard let old = bridge.meters[meter.id] else {
            throw StateError(.unknownMeter, "meter \(meter.id) does not exist")
        }
        try set(meter, on: bridge, created: old.created)
    }

    /// Deletes one meter, or all for nil. A meter that does not exist is no error, as in OpenFlow.
    public func deleteMeters(_ id: UInt32?, of bridge: String) throws(StateError) {
        let number = try self.bridge(bridge).number
        change(.settings) { state in
            if let id { state.bridges[number]?.meters[id] = nil } else { state.bridges[number]?.meters = [:] }
        }
    }

    private func set(_ meter: Meter, on bridge: BridgeState, created: UInt64) throws(StateError) {
        guard meter.id >= 1, meter.id <= 0xffff_0000 else {
            throw StateError(.badMeter, "meter \(meter.id) is out of range, 1 to 4294901760")
        }
        guard !meter.bands.isEmpty else { throw StateError(.invalid, "meter \(meter.id) needs a band") }
        var ready = meter
        ready.created = created
        let made = ready
        change(.settings) { $0.bridges[bridge.number]?.meters[made.id] = made }
    }
}
