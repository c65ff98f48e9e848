import Logging

/// A port around a port, with a bad line in between.
public final class FaultInjectingPort: Port, @unchecked Sendable {
    private let inner: Port
    private let transmitPlan: FaultPlan

    /// Each queue and each worker gets a seed of its own, derived from the plan's.
    public init(around inner: Port, receive: FaultPlan, transmit: FaultPlan) {
        self.inner = inner
        transmitPlan = transmit
        let receivers = inner.receivers.enumerated().map { index, receiver in
            FaultInjectingReceiver(around: receiver, plan: Self.derived(receive, index))
        }
        super.init(
            name: inner.name, type: inner.type, receivers: receivers, status: inner.status, log: inner.log)
    }

    private static func derived(_ plan: FaultPlan, _ index: Int) -> FaultPlan {
        var plan = plan
        plan.seed &+= UInt64(index)
        return plan
    }

    override public func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        FaultInjectingTransmitter(
            around: try inner.makeTransmitter(worker: worker), plan: Self.derived(transmitPlan, worker))
    }

    override public func retire(_ transmitter: PortTransmitter) {
        super.retire(transmitter)
        if let wrapper = transmitter as? FaultInjectingTransmitter { inner.retire(wrapper.inner) }
    }

    override public func frameLimit(_ status: PortStatus) -> Int { inner.frameLimit(status) }

    override public func setAdmin(up: Bool) throws(PortError) {
        try inner.setAdmin(up: up)
        follow()
    }

    override public func setMTU(_ mtu: Int) throws(PortError) {
        try inner.setMTU(mtu)
        follow()
    }

    override public var watchedDevice: WatchedDevice? { inner.watchedDevice }

    override public func refreshDevice() {
        inner.refresh()
        follow()
    }

    private func follow() {
        let status = inner.status
        updateStatus { $0 = status }
    }

    override public func collectDrops() { inner.collectDrops() }
    override public func close() { inner.close() }
}
