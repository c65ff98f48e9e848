import Base
import CLinux
import Memory
import Synchronization

/// Looks tuples up for the choice of a translation.
struct TableProbe: TupleProbe {
    let table: ConnectionTable
    let now: UInt64

    func isTaken(_ tuple: ConnectionTuple) -> Bool { table.find(tuple, table.hash(tuple), now: now) != nil }
}

extension ConnectionTracker {
    /// The packet begins a connection, if it may, and the connection is remembered, if asked for. False: somebody else
    /// made it in this moment; look again.
    @inline(never) func create(_ step: inout TrackStep) -> Bool {
        var new = NewConnection()
        new.original = step.read.tuple
        new.originalHash = step.hash
        new.kind = ProtocolKind(new.original)
        if let counter = cannotBegin(&new, step) {
            step.state = TrackState.invalid
            step.count(.invalid)
            step.count(counter)
            if step.request.pointee.service != 0 { step.verdict = .drop(.serviceUntracked) }
            finish(&step, nil)
            return true
        }
        if step.request.pointee.service != 0 { return createBalanced(&new, &step) }
        step.state = TrackState.new
        step.isReply = false
        let expected = expectation(new.original, now: step.now)
        if let expected {
            step.state |= TrackState.related
            new.adopt(expected)
        }
        if step.request.pointee.commits, makeRoom(step) {
            guard commit(&new, &step, expected) else { return false }
        } else {
            step.count(.new)
            finish(&step, nil)
            if !step.request.pointee.commits { prepareRecord(step.hash) }
        }
        if let expected, ConnectionHandle(rawValue: step.packet.pointee.connection).index == 0 {
            writeExpected(step, expected)
        }
        return true
    }

    /// Checks the first packet, and takes the state of the protocol from it.
    private func cannotBegin(_ new: inout NewConnection, _ step: TrackStep) -> TrackCounter? {
        switch new.kind {
        case .other: return nil
        case .query:
            // A request, not an answer.
            let type = new.original.destinationPort &>> 8
            let isRequest = new.original.isIPv6 ? type == 128 : type == 8 || type == 13 || type == 15
            return isRequest ? nil : .notFirstPacket
        case .tcp:
            let read = step.read
            let segment = TCPSegment(UnsafeRawPointer(step.packet.pointee.data) + read.l4, byteCount: read.l4Size)
            if segment.hasImpossibleFlags { return .badTCPFlags }
            guard segment.mayBegin else { return .notFirstPacket }
            if !segment.has(TCPFlag.syn), weft_atomic_load(table.shared(.picksUpMidstream)) == 0 {
                return .notFirstPacket
            }
            withUnsafeMutablePointer(to: &new.peers) {
                segment.begin(UnsafeMutableRawPointer($0).assumingMemoryBound(to: TCPPeer.self))
            }
            return nil
        }
    }

    private func commit(
        _ new: inout NewConnection, _ step: inout TrackStep, _ expected: ExpectedConnection?
    ) -> Bool {
        let request = step.request
        let kind = expected?.kind ?? request.pointee.kind
        let translates = request.pointee.translates && kind != .none
        if translates { new.traits.insert(kind == .source ? .sourceNAT : .destinationNAT) }
        new.traits.formUnion(Self.helperTrait(new.original, request.pointee.helper))
        let entry = enter(&new, step) { chooseReply(&$0, step, translates, expected) }
        switch entry {
        case .made(let index): return begin(&step, index)
        case .exists: return false
        case .refused(let counter):
            step.count(counter)
            step.count(.new)
            finish(&step, nil)
            return true
        }
    }

    enum Entry {
        case made(UInt32)
        /// Somebody else made it.
        case exists
        /// Why it is not remembered.
        case refused(TrackCounter)
    }

    /// Enters a new connection into the table, and counts it.
    ///
    /// - Parameter choose: sets its reply tuple; false if there is none to be had. Somebody may take the chosen one before it is
    ///   entered; the next choice sees that.
    func enter(_ new: inout NewConnection, _ step: TrackStep, choose: (inout NewConnection) -> Bool) -> Entry {
        let policy = ConnectionTable.policy(named: step.request.pointee.policy) ?? table.policy(zone: step.zone)
        new.timeout = Self.firstTimeout(new.kind).place(policy: policy)
        new.expiry = step.now &+ table.timeout(new.timeout)
        new.byteCount = UInt64(step.packet.pointee.length)
        for _ in 0..<4 {
            guard choose(&new) else { break }
            switch table.insert(new, now: step.now) {
            case .inserted(let index):
                step.count(.created)
                step.count(.new)
                if new.traits.translates { natCounters.translated.add(1, ordering: .relaxed) }
                return .made(index)
            case .exists: return .exists
            case .replyTaken: continue
            case .clash: return .refused(.clash)
            case .outOfMemory: return .refused(.refusedByMemory)
            }
        }
        return .refused(.natExhausted)
    }

    private func chooseReply(
        _ new: inout NewConnection, _ step: TrackStep, _ translates: Bool, _ expected: ExpectedConnection?
    ) -> Bool {
        let mirrored = new.original.reversed
        new.reply = mirrored
        if translates, let expected {
            new.reply = expected.reply(to: new.original)
        } else if translates {
            var probe = TableProbe(table: table, now: step.now)
            let picker = pickers + step.worker
            guard let reply = picker.pointee.reply(to: new.original, step.request.pointee, probe: &probe) else {
                return false
            }
            new.reply = reply
        }
        new.traits.remove(.hasReplyEntry)
        if new.reply != mirrored {
            new.traits.insert(.hasReplyEntry)
            new.replyHash = table.hash(new.reply)
        }
        return true
    }

    /// The first packet of a new connection leaves with it.
    private func begin(_ step: inout TrackStep, _ index: UInt32) -> Bool {
        let connection = table.connection(index)
        let generation = connection.generation
        guard connection.lock(generation: generation) else {
            finish(&step, nil)
            return true
        }
        if connection.traits.pointee.translates { translate(&step, connection) }
        if connection.traits.pointee.isFollowed { follow(&step, connection, index: index, generation: generation) }
        finish(&step, connection, index: index, generation: generation)
        connection.unlock()
        return true
    }

    static func firstTimeout(_ kind: ProtocolKind) -> TimeoutName {
        switch kind {
        case .other: .udpFirst
        case .tcp: .tcpSynSent
        case .query: .icmpFirst
        }
    }
}
