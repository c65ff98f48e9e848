import Actions
import Base
import Classifier
import Flow
import Memory

/// Turns the first packet of a flow into an answer for all its packets: which bits of the key count, and what to do.
///
/// `translate` walks the OpenFlow tables of the packet's bridge, starting with table 0, and runs the actions of each rule
/// it hits. Nothing is done to the packet itself. Actions change a copy of the key, called the *flow*; when something is
/// output, the difference between the flow and what the packet looks like by then (the *base*) is written into the program
/// as set, push and pop ops, and an output op follows. That is how Open vSwitch's ofproto-dpif-xlate works, and what
/// actions mean is as there, in every limit and oddity that a user could rely on. This file has the entry and the limits;
/// the aspects are in `Translator+*.swift`.
///
/// **Masks.** The answer must hold for every packet that agrees with this one in the masked bits. So every bit of the
/// received key that is read enters the mask: by table lookups, by `move`, by conditions such as "is there a VLAN tag".
/// A bit of the *flow* that an action has overwritten no longer says anything about the received packet. `fresh` has
/// a one for each bit of the flow that still is what was received; only those enter the mask when read. So
/// registers never do (they start as zero), and neither does the MAC address that a `mod_dl_dst` wrote. A set with a
/// constant does not read what it overwrites: the program writes the field in any case, where Open vSwitch would compare
/// and narrow the megaflow. Restoring an overwritten field does read it.
///
/// Bits that are known to be zero given others (IPv6 addresses in an ARP frame) are cleared from the mask at the end,
/// so that masks stay few and short: `Translator+Mask.swift`.
///
/// **What holds between calls.** One translator belongs to one thread. All its storage is kept from call to call;
/// a translation without `learn` allocates nothing once the storage has grown to what the rules need. References into
/// the state (rules, action code) are used unretained: the caller keeps the state from changing meanwhile
/// (`LeftRight.Reader`).
///
/// **Drops.** An empty program means that nothing is sent; `dropReason` then has the first reason that was met. A
/// program that was cut off by a limit is empty too: what was output before the limit is not sent, as in Open vSwitch.
public final class Translator {
    /// The answer of the last `translate`.
    public internal(set) var translation = Translation()
    /// Looks on while a packet is translated; nil outside `trace`.
    var tracer: TraceRecorder?

    // Key words: flow, which of its bits are as received, base, which of its bits are as received; mask, lookup mask.
    let flow: UnsafeMutablePointer<UInt64>
    let fresh: UnsafeMutablePointer<UInt64>
    let base: UnsafeMutablePointer<UInt64>
    let baseFresh: UnsafeMutablePointer<UInt64>
    let mask: UnsafeMutablePointer<UInt64>
    let lookupMask: UnsafeMutablePointer<UInt64>
    /// No bit of packet or datapath metadata has been overwritten yet.
    var isPristine = true
    /// Flow and base may differ.
    var isPending = false
    /// Counts the times that the base changed.
    var changes = 0
    var scratch = ClassifierScratch()

    // Where we are. The state is valid during `translate`.
    var state: Unmanaged<SwitchState>
    var bridge: Unmanaged<BridgeState>
    var rule: Unmanaged<Rule>?
    var table: UInt8 = 0
    var now: UInt64 = 0
    var packetLength = 0
    var packet: Packet?
    /// Label stack entries popped, less those pushed.
    var poppedLabels = 0
    var receivedType: UInt16 = 0
    let placeholder = SwitchState()
    let placeholderBridge: BridgeState
    var effects: TranslationEffects
    let noEffects = TranslationEffects()

    // Limits and ends.
    var depth = 0
    var resubmits = 0
    /// Nothing comes after the action that is being run, not even the action set.
    var isLast = true
    /// `exit` was met: no list of actions goes on.
    var hasExited = false
    /// The whole packet is to be dropped (`Limit.isFatal`), or the present packet of a bucket or bridge.
    var failure: DropReason?
    var firstReason: DropReason?
    var dependencies: Dependencies = []
    var isCacheable = true

    // Stack, action set, saved flows.
    var stack: [StackEntry] = []
    var stackFloor = 0
    var stackBytes = 0
    var actionSet: [ActionSetEntry] = []
    var actionSetFloor = 0
    /// Sets and buckets that are being run, innermost last.
    var runningSets: [ActionSetEntry] = []
    var actionSetHasGroup = false
    var frames: [SavedFlow] = []
    var frameCount = 0
    var hasClones = false
    /// The packet was MPLS when received, and what is below the labels is unknown.
    var innerIsUnknown = false

    /// `output` with a length: bytes for the next frame that goes out, 0 for all. As in Open vSwitch it stays if the output
    /// that it was for does not come about.
    var truncation: UInt32 = 0
    /// Tags and labels that the frame had then.
    var truncationHeaders = 0
    /// Tags and labels that it had when flow and base were last made equal.
    var committedHeaders = 0

    /// Mirrors that got this packet as it is now.
    var mirrored: UInt64 = 0
    var mirrorSnapLength = 0
    /// The frame was sent on to another station by a load balancer, which may be behind the port that it came from.
    var returnsToPort = false
    /// Connection tracking has seen the packet, and the conntrack fields of the flow are true.
    var isTracked = false
    /// Counts ops after which the packet is not what the base says.
    var alterations = 0
    /// Buckets of groups that are being tried for liveness.
    var livenessDepth = 0

    /// As in Open vSwitch: nested resubmits, resubmits in all, bytes of stack.
    static var maximumDepth: Int { 64 }
    static var maximumResubmits: Int { 4096 }
    static var maximumStackBytes: Int { 65536 }
    /// Words of program; what would be longer ends like `exit`.
    static var maximumProgramWords: Int { 16384 }

    public init() {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 6 * FlowKey.wordCount)
        words.initialize(repeating: 0, count: 6 * FlowKey.wordCount)
        flow = words
        fresh = words + FlowKey.wordCount
        base = words + 2 * FlowKey.wordCount
        baseFresh = words + 3 * FlowKey.wordCount
        mask = words + 4 * FlowKey.wordCount
        lookupMask = words + 5 * FlowKey.wordCount
        placeholderBridge = BridgeState(
            number: 0, name: "", stations: StationTable(bridge: 0, changes: ChangeLog(), maximumEntries: 10))
        state = .passUnretained(placeholder)
        bridge = .passUnretained(placeholderBridge)
        effects = noEffects
        stack.reserveCapacity(64)
        actionSet.reserveCapacity(64)
        runningSets.reserveCapacity(64)
        translation.credits.reserveCapacity(64)
    }

    deinit {
        flow.deallocate()
        for frame in frames { frame.words.deallocate() }
    }
}

extension Translator {
    /// Translates one packet into `translation`.
    ///
    /// - Parameters:
    ///   - key: of the packet as received; `inPort` is the `PortIndex` of the receiving port.
    ///   - packetLength: bytes of frame.
    ///   - packet: the frame itself, for what the key cannot tell: the headers below labels that are popped. Its transport
    ///     offset is set when they are looked at.
    ///   - now: milliseconds of the switch's clock.
    ///   - effects: nil for a dry run.
    public func translate(
        _ key: UnsafePointer<FlowKey>, packetLength: Int, packet: Packet? = nil, state: SwitchState, now: UInt64,
        effects: TranslationEffects?
    ) {
        self.packet = packet
        let id = UInt32(truncatingIfNeeded: UnsafeRawPointer(key).load(fromByteOffset: 18 * 8, as: UInt64.self))
        if id != 0 {
            self.state = .passUnretained(state)
            return resume(key, id: id, packetLength: packetLength, now: now, effects: effects)
        }
        let index = PortIndex(UInt32(truncatingIfNeeded: UnsafeRawPointer(key).load(as: UInt64.self) &>> 32))
        self.state = .passUnretained(state)
        guard let port = port(index), let bridge = bridge(number: port.bridge) else {
            begin(key, packetLength: packetLength, now: now, effects: effects)
            note(.unknownPort)
            return finish(key)
        }
        translate(
            key, packetLength: packetLength, state: state, now: now, effects: effects,
            bridge: bridge.takeUnretainedValue(), number: port.number)
    }

    /// The same for a packet in a bridge, from a port number that need not stand for a port.
    func translate(
        _ key: UnsafePointer<FlowKey>, packetLength: Int, state: SwitchState, now: UInt64,
        effects: TranslationEffects?, bridge: BridgeState, number: PortNumber
    ) {
        self.state = .passUnretained(state)
        self.bridge = .passUnretained(bridge)
        begin(key, packetLength: packetLength, now: now, effects: effects)
        receive(number)
        finish(key)
    }

    func begin(
        _ key: UnsafePointer<FlowKey>, packetLength: Int, now: UInt64, effects: TranslationEffects?
    ) {
        self.effects = effects ?? noEffects
        self.now = now
        self.packetLength = packetLength
        reset(key)
    }

    private func reset(_ key: UnsafePointer<FlowKey>) {
        let count = FlowKey.wordCount
        let words = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
        flow.update(from: words, count: count)
        base.update(from: words, count: count)
        fresh.update(repeating: ~0, count: count)
        for word in FlowKey.registerWords { fresh[word] = 0 }
        // Always in the mask: ingress port, EtherType.
        fresh[0] = 0xffff
        baseFresh.update(from: fresh, count: count)
        mask.update(repeating: 0, count: count)
        mask[0] = ~0xffff
        if flow[Slot.recircID.word] & 0xffff_ffff == 0 {
            // Untracked packets have nothing but zeros there.
            for word in Slot.ctMark.word..<FrozenState.firstWord { fresh[word] = 0 }
        } else {
            mask[Slot.recircID.word] = 0xffff_ffff
        }
        isTracked = false
        alterations = 0
        isPristine = true
        isPending = false
        receivedType = etherType
        translation.program.removeAll()
        translation.credits.removeAll(keepingCapacity: true)
        rule = nil
        table = 0
        depth = 0
        resubmits = 0
        isLast = true
        hasExited = false
        failure = nil
        firstReason = nil
        dependencies = [.ports, .settings]
        isCacheable = true
        stack.removeAll(keepingCapacity: true)
        stackFloor = 0
        stackBytes = 0
        actionSet.removeAll(keepingCapacity: true)
        actionSetFloor = 0
        actionSetHasGroup = false
        runningSets.removeAll(keepingCapacity: true)
        frameCount = 0
        hasClones = false
        innerIsUnknown = false
        poppedLabels = 0
        truncation = 0
        committedHeaders = headers
        mirrored = 0
        mirrorSnapLength = 0
        returnsToPort = false
    }

    /// The way of a packet from its port through table 0 to the end of its action set.
    private func receive(_ number: PortNumber) {
        writePlain(Slot.actionSetOutput, UInt64(PortNumber.unset.rawValue))
        writePlain(Slot.inPort, UInt64(number.rawValue))
        base[0] = flow[0]
        if isIP { mask[Slot.nwFrag.word] |= Slot.nwFrag.lowMask &<< UInt64(Slot.nwFrag.shift) }
        let port = port(number: number)
        trace { $0.beginBridge(self.bridge.takeUnretainedValue().name) }
        if let port, balances(at: port) { return trace { $0.endBridge() } }
        let found = findRule(in: 0, inPort: number)
        if let port, isMirrorOutput(port.index) {
            note(.mirrorOutputPort)
        } else if let port, !mayReceive(port) {
            note(.portReceiveDisabled)
        } else {
            mirrorIngress()
            if let found { run(rule: found) } else { noteMiss() }
            if failure == nil { runActionSet() }
        }
        trace { $0.endBridge() }
    }

    /// Counts why a packet (or a copy of it) goes no further here; the first reason is the one that is reported.
    func note(_ reason: DropReason) {
        if firstReason == nil { firstReason = reason }
    }

    func finish(_ key: UnsafePointer<FlowKey>) {
        if failure != nil {
            translation.program.removeAll()
            translation.dropReason = failure
        } else {
            removeLastClone()
            sayWhyNothingIsSent()
            translation.dropReason = translation.program.isEmpty ? firstReason ?? .noOutput : nil
        }
        translation.dependencies = dependencies
        translation.isCacheable = isCacheable
        trimMask(key)
        packet = nil
        rule = nil
        withUnsafeMutablePointer(to: &translation.mask) {
            UnsafeMutableRawPointer($0).assumingMemoryBound(to: UInt64.self)
                .update(from: mask, count: FlowKey.wordCount)
        }
    }
}
