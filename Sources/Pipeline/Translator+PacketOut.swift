import Base
import Flow
import Memory

extension Translator {
    /// Translates a packet that a command sends rather than one that came in (`packet-out`): actions instead of table 0.
    ///
    /// - Parameters:
    ///   - actions: what to do; `output:TABLE` and `resubmit` lead into the tables.
    ///   - key: of the frame; its `inPort` is not looked at.
    ///   - bridge, inPort: where the packet is said to be, as OpenFlow's packet-out has it.
    public func translate(
        actions: ActionCode, key: UnsafePointer<FlowKey>, packetLength: Int, packet: Packet? = nil, state: SwitchState,
        bridge: BridgeState, inPort: PortNumber, now: UInt64, effects: TranslationEffects?
    ) {
        self.state = .passUnretained(state)
        self.bridge = .passUnretained(bridge)
        self.packet = packet
        begin(key, packetLength: packetLength, now: now, effects: effects)
        writePlain(Slot.actionSetOutput, UInt64(PortNumber.unset.rawValue))
        writePlain(Slot.inPort, UInt64(inPort.rawValue))
        base[0] = flow[0]
        isCacheable = false
        run(.passUnretained(actions), inBucket: false)
        if failure == nil { runActionSet() }
        finish(key)
    }
}
