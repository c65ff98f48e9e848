import Actions
import Base
import Flow

// `learn` and `fin_timeout`: actions that change rules. The rule itself is made by the control thread; what a packet sees of
// it is only `result_dst`.

extension Translator {
    func learn(_ step: UnsafePointer<ActionStep>, _ code: Unmanaged<ActionCode>, _ i: Int) {
        guard case .learn(let parameters) = code.takeUnretainedValue().actions[i] else { return }
        let number = bridge._withUnsafeGuaranteedRef { $0.number }
        let request = makeRule(parameters, bridge: number)
        dependencies.formUnion(.table(bridge: number, parameters.table))
        var succeeds = true
        if let standing = bridge.takeUnretainedValue().learnedRule(request) {
            // It is there: packets renew its hard timeout.
            translation.credits.append(Credit(.ruleLearned, standing.counter))
        } else {
            if parameters.limit != 0, parameters.table < 255 {
                let table = bridge.takeUnretainedValue().tables[Int(parameters.table)]
                succeeds = (table?.count(cookie: parameters.cookie) ?? 0) < Int(parameters.limit)
            }
            if succeeds {
                // Until the rule stands, every packet comes here.
                isCacheable = false
                effects.learn(request)
            } else {
                trace { $0.detail("Limit exceeded, learn failed") }
            }
        }
        if step.pointee.flag { write(step.pointee.target, succeeds ? 1 : 0) }
    }

    private func makeRule(_ parameters: LearnParameters, bridge: Int) -> LearnRequest {
        var match = Match()
        var actions: [Action] = []
        if parameters.finIdleTimeout != 0 || parameters.finHardTimeout != 0 {
            actions.append(.finTimeout(idle: parameters.finIdleTimeout, hard: parameters.finHardTimeout))
        }
        for spec in parameters.specs {
            switch spec {
            case .match(let source, let target): Self.add(value(source), FieldRun(target), to: &match)
            case .load(let source, let target):
                actions.append(.load(value: value(source), target))
            case .output(let source):
                let value = read(FieldRun(source))
                guard value <= 0xffff else { continue }
                let port = Self.port16(UInt32(value))
                if value < 0xff00 || port == .inPort || port == .flood || port == .local || port == .all {
                    actions.append(.output(port))
                }
            }
        }
        return LearnRequest(
            bridge: bridge, table: parameters.table, priority: parameters.priority, match: match,
            cookie: parameters.cookie, actions: actions, idleTimeout: parameters.idleTimeout,
            hardTimeout: parameters.hardTimeout, sendFlowRemoved: parameters.sendFlowRemoved, limit: parameters.limit)
    }

    private func value(_ source: LearnParameters.Source) -> UInt128 {
        switch source {
        case .field(let subfield): read(FieldRun(subfield))
        case .immediate(let value): value
        }
    }

    private static func add(_ value: UInt128, _ run: FieldRun, to match: inout Match) {
        guard run.kind != .absent else { return }
        var value = value
        var run = run
        if run.kind == .inPort16, run.width == 16 {
            value = UInt128(port16(UInt32(truncatingIfNeeded: value & 0xffff)).rawValue)
            run.width = 32
        }
        let bits = run.width >= 128 ? ~UInt128(0) : (UInt128(1) << UInt128(run.width)) &- 1
        let placedMask = bits << UInt128(run.shift)
        let placed = (value << UInt128(run.shift)) & placedMask
        let word = Int(run.word)
        if run.kind == .tunnelOption {
            match.key[.tunMetadataPresent] |= run.presence
            match.mask[.tunMetadataPresent] |= run.presence
        }
        func put(_ word: Int, _ value: UInt64, _ mask: UInt64) {
            match.key.words[word] = match.key.words[word] & ~mask | value
            match.mask.bits.words[word] |= mask
        }
        let low = UInt64(truncatingIfNeeded: placed)
        let lowMask = UInt64(truncatingIfNeeded: placedMask)
        if run.isWide {
            put(word, UInt64(truncatingIfNeeded: placed >> 64), UInt64(truncatingIfNeeded: placedMask >> 64))
            put(word + 1, low, lowMask)
        } else if run.kind == .vlanVID || run.kind == .vlanPCP {
            put(word, low | 0x1000, lowMask | 0x1000)
        } else {
            put(word, low, lowMask)
        }
    }

    /// A connection that ends shortens the life of its rule.
    func finTimeout(idle: UInt16, hard: UInt16) {
        guard let rule, isIP, see(Slot.nwProto) == 6 else { return }
        // FIN and RST.
        guard see(1, 0x5) != 0, idle | hard != 0 else { return }
        effects.shorten(rule._withUnsafeGuaranteedRef { $0.counter }, idle: idle, hard: hard)
    }
}
