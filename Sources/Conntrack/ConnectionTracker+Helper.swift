import Memory

// Control connections whose packets a helper reads (`alg=`), and the connections that they announce.
extension ConnectionTracker {
    static func helperTrait(_ original: ConnectionTuple, _ helper: TrackHelper) -> ConnectionTraits {
        guard ControlHelper.fits(helper, original) else { return [] }
        return helper == .ftp ? .ftpHelper : .tftpHelper
    }

    private func control(_ step: TrackStep, _ connection: Connection) -> ControlHelper.Control {
        let traits = connection.traits.pointee
        let kind: NATKind =
            traits.contains(.sourceNAT) ? .source : traits.contains(.destinationNAT) ? .destination : .none
        return ControlHelper.Control(
            original: connection.original.pointee, reply: connection.reply.pointee, kind: kind, isReply: step.isReply,
            translates: step.request.pointee.translates)
    }

    /// Before the state machine. The caller holds the record's lock bit.
    @inline(never) func prepareToFollow(_ step: TrackStep, _ connection: Connection) {
        ControlHelper.prepare(step.packet, control(step, connection), connection.skew.pointee)
    }

    /// After translation. The caller holds the record's lock bit. What is outside of the window announces nothing.
    @inline(never)
    func follow(_ step: inout TrackStep, _ connection: Connection, index: UInt32, generation: UInt64) {
        guard step.state & TrackState.invalid == 0 else { return }
        // What this very action sets is handed on too.
        mark(connection, step.request)
        let helper: TrackHelper = connection.traits.pointee.contains(.ftpHelper) ? .ftp : .tftp
        switch ControlHelper.follow(step.packet, control(step, connection), helper, &connection.skew.pointee) {
        case .nothing: return
        case .invalid: step.state |= TrackState.invalid
        case .expects(var expected):
            expected.mark = connection.mark.pointee
            expected.label = UInt128(connection.label[0]) << 64 | UInt128(connection.label[1])
            expected.parent = ConnectionHandle(index: index, generation: generation).rawValue
            expectations.add(expected, now: step.now)
        }
    }

    /// What was announced for a new connection, by one that still lives.
    @inline(__always) func expectation(_ original: ConnectionTuple, now: UInt64) -> ExpectedConnection? {
        expectations.isEmpty ? nil : findExpectation(original, now: now)
    }

    @inline(never) private func findExpectation(_ original: ConnectionTuple, now: UInt64) -> ExpectedConnection? {
        guard let expected = expectations.find(original, now: now) else { return nil }
        let handle = ConnectionHandle(rawValue: expected.parent)
        let parent = table.connection(handle.index)
        guard parent.lock(generation: handle.generation) else { return nil }
        defer { parent.unlock() }
        return parent.hasExpired(now) ? nil : expected
    }

    /// The original tuple that packets of an announced connection show: that of its parent while it lives. The caller
    /// holds the record's lock bit; parents are older than their children, so locks are taken in one order.
    @inline(never) func parentTuple(_ connection: Connection) -> ConnectionTuple {
        let handle = ConnectionHandle(rawValue: connection.parent.pointee)
        guard handle.index != 0 else { return connection.original.pointee }
        let parent = table.connection(handle.index)
        guard parent.lock(generation: handle.generation) else { return connection.original.pointee }
        defer { parent.unlock() }
        return parent.original.pointee
    }

    /// A packet of an announced connection that is not remembered shows mark, label and tuple of its parent.
    @inline(never) func writeExpected(_ step: TrackStep, _ expected: ExpectedConnection) {
        let label = (
            UInt64(truncatingIfNeeded: expected.label >> 64), UInt64(truncatingIfNeeded: expected.label)
        )
        write(
            step.packet, state: step.state, zone: step.zone, mark: expected.mark, label: label, expected.parentTuple)
    }
}

extension NewConnection {
    /// Takes over what an announced connection has from its parent.
    mutating func adopt(_ expected: ExpectedConnection) {
        traits.insert(.related)
        mark = expected.mark
        labelHigh = UInt64(truncatingIfNeeded: expected.label >> 64)
        labelLow = UInt64(truncatingIfNeeded: expected.label)
        parent = expected.parent
    }
}
