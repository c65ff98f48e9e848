import Actions
import Base
import Flow

// Sending: one port, many ports, another bridge, a controller.

extension Translator {
    /// `output`: a port, or one of the reserved numbers.
    func output(to number: PortNumber) {
        switch number {
        case .inPort: send(to: inPortNumber)
        case .table, .normal, .flood, .all: outputNotLast(number)
        case .controller: controller(reason: UInt32(ControllerParameters.Reason.action.rawValue))
        case .none: note(.noOutput)
        case inPortNumber:
            note(.inputPortIsOutputPort)
            trace { $0.detail("skipping output to input port") }
        default: send(to: number)
        }
    }

    /// Those behind which translation does not know that it is at its end.
    private func outputNotLast(_ number: PortNumber) {
        let ownIsLast = isLast
        isLast = false
        switch number {
        case .table: visit(table: 0, inPort: inPortNumber)
        case .normal: normal()
        default: flood(everywhere: number == .all)
        }
        isLast = ownIsLast
    }

    /// `output:reg`; numbers are those of 16 bits.
    func outputRegister(_ run: FieldRun) {
        let value = read(run)
        guard value <= 0xffff else {
            note(.noOutput)
            return trace { $0.warning("output port \(value) is out of range") }
        }
        trace { $0.detail("output port is \(value)") }
        output(to: Self.port16(UInt32(value)))
    }

    static func port16(_ value: UInt32) -> PortNumber { PortNumber(value >= 0xff00 ? value | 0xffff_0000 : value) }

    func outputTruncated(to number: PortNumber, _ length: UInt32) {
        guard number != inPortNumber else {
            note(.inputPortIsOutputPort)
            return trace { $0.detail("skipping output to input port") }
        }
        // Reserved numbers are no ports here, nor is a patch port: nothing is known of what comes behind it.
        guard let port = port(number: number), !port.isPatch else {
            note(.noOutput)
            return trace { $0.error("output_trunc does not support this port") }
        }
        truncation = length
        truncationHeaders = committedHeaders
        send(to: port)
    }

    func enqueue(to number: PortNumber, queue: UInt32) {
        let target = number == .inPort ? inPortNumber : number
        guard number == .inPort || number != inPortNumber else { return note(.inputPortIsOutputPort) }
        let word = Slot.skbPriority.word
        let own = (flow[word], fresh[word], isPristine)
        setQueue(queue)
        send(to: target)
        flow[word] = own.0
        fresh[word] = own.1
        isPristine = own.2
        isPending = true
    }

    /// Sends to a port of this bridge by its number.
    func send(to number: PortNumber) {
        guard let port = port(number: number),
            number != .local || bridge._withUnsafeGuaranteedRef({ $0.hasLocalDevice })
        else {
            note(.noOutput)
            return trace { $0.warning("Nonexistent output port") }
        }
        send(to: port)
    }

    func send(to port: PortFacts) {
        guard !port.noForward else {
            note(.portForwardDisabled)
            return trace { $0.detail("OFPPC_NO_FWD set, skipping output") }
        }
        guard mirrorSnapLength == 0 || !port.isPatch else {
            note(.mirrorOutputPort)
            return trace { $0.warning("Mirror truncate to patch port, skipping output") }
        }
        if port.isProtected, let input = self.port(number: inPortNumber), input.isProtected {
            note(.protectedPort)
            return trace { $0.warning("Flow is between protected ports, skipping output.") }
        }
        if port.isPatch {
            enterPeer(of: port)
        } else {
            commit()
            if mirrorSnapLength != 0, mirrorSnapLength < 0xffff {
                translation.program.truncateNextOutput(to: UInt32(mirrorSnapLength))
                truncation = 0
            } else if truncation != 0 {
                // The length counts for the frame with the tags and labels that it had when it was asked for.
                let grown = Int(truncation) + 4 * (headers - truncationHeaders)
                translation.program.truncateNextOutput(to: UInt32(max(grown, 14)))
                truncation = 0
            }
            translation.program.output(port.index)
            mirrorEgress(port.index)
        }
    }

    /// `flood`, `all`: every port but the ingress port; `flood` leaves out those that do not want it.
    func flood(everywhere: Bool) {
        let input = inPortNumber
        let count = bridge._withUnsafeGuaranteedRef { $0.portOrder.count }
        var sent = false
        for i in 0..<count {
            // Another bridge may be the present one inside `send`, but is not between two turns.
            guard let index = bridge._withUnsafeGuaranteedRef({ i < $0.portOrder.count ? $0.portOrder[i] : nil }),
                let port = port(index), port.number != input, everywhere || !port.noFlood
            else { continue }
            sent = true
            send(to: port)
        }
        if !sent { note(.noOutput) }
    }

    /// There is no controller: what would go to one is counted. The meter that it names polices it, or the one for all that
    /// goes to controllers, if there are such.
    func controller(reason: UInt32, meter id: UInt32 = 0) {
        commit()
        let number = (id == 0 ? nil : meterNumber(id)) ?? meterNumber(Meter.controllerID)
        translation.program.controller(reason: reason, meter: number)
    }

    /// `controller(pause)`: all that would follow waits until the controller resumes it (ovs-actions(7)), so without a
    /// controller it never comes, the action set included.
    func pause() { hasExited = true }

    /// `meter`: it sees the frame as it is by then. Pending changes to headers come behind it, as in Open vSwitch.
    func meter(_ id: UInt32) {
        if let number = meterNumber(id) { translation.program.meter(number) }
    }

    /// A frame that only meters see is sent nowhere: for the first reason that was met.
    func sayWhyNothingIsSent() {
        guard !translation.program.isEmpty, translation.program.hasOnlyMeters else { return }
        translation.program.drop(firstReason ?? .noOutput)
    }

    private func meterNumber(_ id: UInt32) -> UInt32? {
        dependencies.formUnion(.meters)
        return bridge._withUnsafeGuaranteedRef { $0.meters.isEmpty ? nil : $0.meters[id]?.number }
    }
}

// MARK: - Patch ports

extension Translator {
    /// The packet leaves through a patch port and goes on in the bridge of its peer.
    func enterPeer(of port: PortFacts) {
        guard let peer = port.peer.flatMap({ self.port($0) }), let other = bridge(number: peer.bridge) else {
            return note(.unknownPort)
        }
        let own = (bridge, mirrored, table, rule)
        save()
        let sets = enterSets(copying: false)
        if own.0.toOpaque() != other.toOpaque() { mirrored = 0 }
        bridge = other
        forgetMetadata(inPort: peer.number)
        trace { $0.beginBridge(other.takeUnretainedValue().name) }
        creditPatch(port.index, peer.index)
        if mayReceive(peer) {
            visit(table: 0, inPort: peer.number)
            runActionSet()
        } else {
            note(.portReceiveDisabled)
        }
        trace { $0.endBridge() }
        if own.0.toOpaque() != other.toOpaque() { mirrored = own.1 }
        bridge = own.0
        table = own.2
        rule = own.3
        leaveSets(sets)
        restore()
        // What ends translation over there does not end it here, not even a limit.
        hasExited = false
        failure = nil
    }

    /// What does not pass from bridge to bridge: ingress port, metadata, registers, tunnel, conntrack.
    private func forgetMetadata(inPort: PortNumber) {
        writePlain(Slot.inPort, UInt64(inPort.rawValue))
        for word in FlowKey.registerWords { flow[word] = 0 }
        writePlain(Slot.actionSetOutput, UInt64(PortNumber.unset.rawValue))
        for word in 19...36 { clear(word) }
        isTracked = false
        for word in 47..<FlowKey.wordCount { clear(word) }
    }

    /// Makes a word zero. One that is zero as received need not be told apart from that: the port decides.
    private func clear(_ word: Int) {
        if flow[word] != 0 { put(word, 0, ~0) }
    }

    private func creditPatch(_ from: PortIndex, _ to: PortIndex) {
        state._withUnsafeGuaranteedRef { state in
            if let counter = state.ports[Int(from.rawValue)]?.transmitCounter {
                translation.credits.append(Credit(.counter, counter))
            }
            if let counter = state.ports[Int(to.rawValue)]?.receiveCounter {
                translation.credits.append(Credit(.counter, counter))
            }
        }
    }
}
