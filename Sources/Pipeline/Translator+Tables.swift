import Actions
import Base
import Flow

// Table lookups, and the limits that keep rules from sending a packet round for ever.

extension Translator {
    /// The rule that the flow hits in a table of the present bridge; credits it. Nil on a miss, and for a
    /// fragment in a bridge that drops them.
    func findRule(in number: UInt8, inPort: PortNumber) -> Unmanaged<Rule>? {
        let fragment = flow[4] &>> 48 & 0xff
        let mode = bridge._withUnsafeGuaranteedRef { $0.fragments }
        if fragment & FragmentBits.any != 0, mode == .drop {
            note(.fragmentPolicy)
            return nil
        }
        dependencies.formUnion(.table(bridge: bridge._withUnsafeGuaranteedRef { $0.number }, number))
        let hidesPorts = fragment & FragmentBits.any != 0 && mode == .normal
        let ownPort = flow[0]
        let ownPorts = flow[4]
        flow[0] = ownPort & 0xffff_ffff | UInt64(inPort.rawValue) &<< 32
        if hidesPorts { flow[4] &= ~Self.transportPorts }
        let found = lookUp(number, hidesPorts: hidesPorts)
        flow[0] = ownPort
        flow[4] = ownPorts
        if let found {
            translation.credits.append(Credit(.counter, found._withUnsafeGuaranteedRef { $0.counter }))
        }
        return found
    }

    /// Bits of both transport ports in word 4.
    static var transportPorts: UInt64 { 0xffff_ffff_0000 }

    private func lookUp(_ number: UInt8, hidesPorts: Bool) -> Unmanaged<Rule>? {
        // A table that was never used has no rules, and reading nothing needs no mask.
        guard
            let table = bridge._withUnsafeGuaranteedRef({ Int(number) < $0.tables.count ? $0.tables[Int(number)] : nil }
            )
        else { return nil }
        let key = UnsafeRawPointer(flow).assumingMemoryBound(to: FlowKey.self)
        guard isPristine, !hidesPorts else {
            lookupMask.update(repeating: 0, count: FlowKey.wordCount)
            let target = UnsafeMutableRawPointer(lookupMask).assumingMemoryBound(to: FlowMask.self)
            let found = table.lookup(key, mask: target, scratch: &scratch)
            if hidesPorts { lookupMask[4] &= ~Self.transportPorts }
            for word in 0..<FlowKey.wordCount { mask[word] |= lookupMask[word] & fresh[word] }
            return found
        }
        // What it reads of registers is cleared in the end.
        let target = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: FlowMask.self)
        return table.lookup(key, mask: target, scratch: &scratch)
    }

    func noteMiss() {
        note(.tableMiss)
        trace {
            let isFragment = self.firstReason == .fragmentPolicy
            $0.miss(
                isFragment
                    ? "Packets are IP fragments and the fragment handling mode is \"drop\"." : "No match.",
                table: self.table)
        }
    }

    /// Whether one more table or group may be visited. If not, says how translation goes on.
    func mayVisit() -> Bool {
        if depth >= Self.maximumDepth {
            fail(.resubmitDepth, "over max translation depth \(Self.maximumDepth)")
        } else if resubmits >= Self.maximumResubmits {
            fail(.resubmitCount, "over \(Self.maximumResubmits) resubmit actions")
        } else if translation.program.words.count > Self.maximumProgramWords {
            trace { $0.error("resubmits yielded over \(Self.maximumProgramWords) words of actions") }
            hasExited = true
        } else if stackBytes >= Self.maximumStackBytes {
            fail(.stackTooDeep, "resubmits yielded over 64 kB of stack")
        } else {
            return true
        }
        return false
    }

    func fail(_ reason: DropReason, _ text: @autoclosure () -> String) {
        failure = reason
        trace { $0.error(text()) }
    }

    /// `resubmit`, `goto_table`, `output:TABLE`: looks the flow up in a table and runs what it hits.
    ///
    /// - Parameter byOriginalTuple: look it up as the first packet of its connection was.
    func visit(table number: UInt8, inPort: PortNumber, byOriginalTuple: Bool = false) {
        if innerIsUnknown { revealInner() }
        guard mayVisit() else { return }
        let ownTable = table
        table = number
        if byOriginalTuple { swapTuple() }
        let found = findRule(in: number, inPort: inPort)
        if byOriginalTuple { swapTuple() }
        resubmits += 1
        let deepens = number <= ownTable
        if deepens { depth += 1 }
        if let found { run(rule: found) } else { noteMiss() }
        if deepens { depth -= 1 }
        table = ownTable
    }

    /// Runs the actions of a rule.
    func run(rule found: Unmanaged<Rule>) {
        let ownRule = rule
        rule = found
        trace { $0.beginRule(found.takeUnretainedValue(), table: table) }
        let code = found._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.code) }
        run(code, inBucket: false)
        trace { $0.endRule() }
        rule = ownRule
    }
}
