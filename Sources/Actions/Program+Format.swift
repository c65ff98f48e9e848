import Base
import Conntrack
import Flow

/// Prints a datapath program the way `ovs-dpctl dump-flows` and the line `Datapath actions:` of a trace print actions:
/// `set(eth(src=02:00:00:00:00:01)),push_vlan(vid=5,pcp=0),2`. A program or body without ops prints as `drop`.
public struct ProgramFormatter {
    /// How a port prints: its name, or its number.
    private let portName: (PortIndex) -> String
    private let words: [UInt64]
    private var text = ""

    public static func format(_ words: [UInt64], portName: (PortIndex) -> String) -> String {
        withoutActuallyEscaping(portName) { portName in
            var formatter = ProgramFormatter(portName: portName, words: words)
            formatter.list(0, words.count)
            return formatter.text
        }
    }

    private init(portName: @escaping (PortIndex) -> String, words: [UInt64]) {
        self.portName = portName
        self.words = words
    }

    /// The ops from `start` up to `end`, or `drop` if there are none. Words that are no program end the list.
    private mutating func list(_ start: Int, _ end: Int) {
        if start >= end {
            text += "drop"
            return
        }
        var at = start
        while at < end, let step = step(at) {
            if at > start { text += "," }
            at = print(step, end)
        }
    }

    private func step(_ index: Int) -> ProgramStep? {
        let step = words.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.flatMap { ProgramStep($0, count: buffer.count, at: index) }
        }
        guard let step, step.next <= words.count, step.next - step.operands >= step.op.operandCount else { return nil }
        return step
    }

    /// Prints one op; the index of the next one.
    private mutating func print(_ step: ProgramStep, _ end: Int) -> Int {
        let immediate = step.immediate
        switch step.op {
        case .output: text += portName(PortIndex(immediate))
        case .drop: text += "drop"
        case .pushVLAN: text += "push_vlan(\(Self.tag(immediate)))"
        case .popVLAN: text += "pop_vlan"
        case .pushMPLS: text += "push_mpls(\(Self.entry(immediate)),eth_type=\(Digits.hex(words[step.operands])))"
        case .popMPLS: text += "pop_mpls(eth_type=\(Digits.hex(immediate)))"
        case .truncate: text += "trunc(\(immediate))"
        case .hash: text += "hash(\(step.flags == 0 ? "l4" : "sym_l4")(\(immediate)))"
        case .meter: text += "meter(\(immediate))"
        case .controller:
            let action = "userspace(pid=0,controller(reason=\(immediate)))"
            if step.flags & 1 != 0, step.next > step.operands {
                text += "sample(sample=100.0%,actions(meter(\(words[step.operands])),\(action)))"
            } else {
                text += action
            }
        case .track: text += tracking(immediate, step.operands)
        case .trackClear: text += "ct_clear"
        case .recirculate: text += "recirc(\(Digits.hex(immediate)))"
        case .translate: text += "ct_nat"
        case .reject: text += "reject"
        case .answer: text += "answer(\(Digits.ethernet(words[step.operands])))"
        case .clone:
            let after = min(end, step.next + Int(immediate))
            text += "clone("
            list(step.next, after)
            text += ")"
            return after
        case .checkLength:
            let middle = min(end, step.next + Int(words[step.operands] >> 32))
            let after = min(end, middle + Int(words[step.operands] & 0xffff_ffff))
            text += "check_pkt_len(size=\(immediate),gt("
            list(step.next, middle)
            text += "),le("
            list(middle, after)
            text += "))"
            return after
        default: text += "set(\(setter(step)))"
        }
        return step.next
    }

    /// As in `ct(commit,zone=5,mark=0x1/0x1,nat(src=10.0.0.1))`.
    private func tracking(_ immediate: UInt32, _ operands: Int) -> String {
        let request = words.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { TrackRequest(immediate: immediate, $0 + operands) } ?? TrackRequest()
        }
        var parts: [String] = []
        if request.commits { parts.append(request.forces ? "force_commit" : "commit") }
        if request.zone != 0 { parts.append("zone=\(request.zone)") }
        if request.markMask != 0 { parts.append("mark=\(Digits.hex(request.mark))/\(Digits.hex(request.markMask))") }
        if request.labelMask != 0 {
            parts.append("label=\(Self.wide(request.label))/\(Self.wide(request.labelMask))")
        }
        if request.helper != .none { parts.append("helper=\(request.helper)") }
        if request.policy != 0 { parts.append("timeout=\(request.policy)") }
        if request.translates { parts.append("nat" + Self.translation(request)) }
        if request.service != 0 { parts.append("lb=\(request.service)") }
        return parts.isEmpty ? "ct" : "ct(\(parts.joined(separator: ",")))"
    }

    private static func wide(_ value: UInt128) -> String { value == 0 ? "0" : "0x" + String(value, radix: 16) }

    private static func translation(_ request: TrackRequest) -> String {
        guard request.kind != .none else { return "" }
        func address(_ value: UInt128) -> String {
            request.isIPv6 ? Digits.ipv6(value) : Digits.ipv4(UInt32(truncatingIfNeeded: value))
        }
        var text = request.kind == .source ? "src" : "dst"
        if request.hasAddresses {
            let hasPorts = request.firstPort != 0
            let first = address(request.firstAddress)
            let last = request.lastAddress == request.firstAddress ? "" : "-" + address(request.lastAddress)
            if request.isIPv6, hasPorts {
                text += "=[\(first)]" + (last.isEmpty ? "" : "-[\(last.dropFirst())]")
            } else {
                text += "=\(first)\(last)"
            }
            if hasPorts {
                text += ":\(request.firstPort)" + (request.lastPort == request.firstPort ? "" : "-\(request.lastPort)")
            }
        }
        if request.isPersistent { text += ",persistent" }
        if request.selection == .hash { text += ",hash" }
        if request.selection == .random { text += ",random" }
        return "(\(text))"
    }

    private static func tag(_ immediate: UInt32) -> String {
        let tpid = immediate >> 16
        let tci = immediate & 0xffff
        var text = tpid == 0x8100 ? "" : "tpid=\(Digits.hex(tpid)),"
        text += "vid=\(tci & 0xfff),pcp=\(tci >> 13)"
        return tci & 0x1000 == 0 ? text + ",cfi=0" : text
    }

    static func entry(_ entry: UInt32) -> String {
        "label=\(entry >> 12),tc=\(entry >> 9 & 7),ttl=\(entry & 0xff),bos=\(entry >> 8 & 1)"
    }

    private func setter(_ step: ProgramStep) -> String {
        let operands = words[step.operands..<step.next]
        let setter = Setter(operands: Array(operands), immediate: step.immediate, flags: step.flags)
        switch step.op {
        case .setEthernet: return setter.ethernet
        case .setMPLS: return setter.mpls
        case .setIPv4: return setter.ipv4
        case .setIPv6: return setter.ipv6
        case .setPorts: return setter.ports
        case .setICMP: return setter.icmp
        case .setARP: return setter.arp
        case .setND: return setter.nd
        case .setNDExtensions: return setter.ndExtensions
        case .setQueue: return "skb_priority(\(Digits.hex(step.flags == 0 ? step.immediate : 0)))"
        default: return setter.mark
        }
    }
}

/// One set op: its fields, those with an empty mask left out, a partial mask behind a slash.
private struct Setter {
    let operands: [UInt64]
    let immediate: UInt32
    let flags: UInt8

    var ethernet: String { list("eth", [mac("src", 2), mac("dst", 0)]) }

    var mpls: String {
        let mask = UInt32(truncatingIfNeeded: operands[0])
        if mask == ~0 { return "mpls(\(ProgramFormatter.entry(immediate)))" }
        func hex(_ value: UInt32) -> String { String(value, radix: 16) }
        return "mpls(label=\(immediate >> 12)/0x\(hex(mask >> 12)),tc=\(immediate >> 9 & 7)/\(hex(mask >> 9 & 7)),"
            + "ttl=\(immediate & 0xff)/0x\(hex(mask & 0xff)),bos=\(immediate >> 8 & 1)/\(hex(mask >> 8 & 1)))"
    }

    var ipv4: String {
        list(
            "ipv4",
            [
                ipv4("src", 0, 32), ipv4("dst", 0, 0), number("tos", pair(2, 8, 0xff), full: 0xff, hex: true),
                number("ttl", pair(2, 0, 0xff), full: 0xff),
            ])
    }

    var ipv6: String {
        list(
            "ipv6",
            [
                ipv6("src", 0), ipv6("dst", 4), number("label", pair(8, 16, 0xf_ffff), full: 0xf_ffff, hex: true),
                number("tclass", pair(8, 8, 0xff), full: 0xff, hex: true),
                number("hlimit", pair(8, 0, 0xff), full: 0xff),
            ])
    }

    var ports: String {
        let name = flags == 6 ? "tcp" : flags == 17 ? "udp" : "sctp"
        return list(name, [immediate("src", 16, 0xffff), immediate("dst", 0, 0xffff)])
    }

    var icmp: String {
        list(flags == 58 ? "icmpv6" : "icmp", [immediate("type", 8, 0xff), immediate("code", 0, 0xff)])
    }

    var arp: String {
        list(
            "arp",
            [
                ipv4("sip", 0, 32), ipv4("tip", 0, 0),
                number("op", (UInt64(immediate), operands[6]), full: 0xffff), mac("sha", 2), mac("tha", 4),
            ])
    }

    var nd: String { list("nd", [ipv6("target", 0), mac("sll", 4), mac("tll", 6)]) }

    var ndExtensions: String {
        let reserved = operands[1] >> 32 == 0 ? nil : "nd_reserved=0x" + String(operands[0] >> 32, radix: 16)
        return list("nd_ext", [reserved, number("nd_options_type", pair(0, 8, 0xff), full: 0xff)])
    }

    var mark: String {
        let mask = UInt32(truncatingIfNeeded: operands[0])
        return "skb_mark(\(Digits.hex(immediate))\(mask == ~0 ? "" : "/" + Digits.hex(mask)))"
    }

    private func list(_ name: String, _ fields: [String?]) -> String {
        "\(name)(\(fields.compactMap { $0 }.joined(separator: ",")))"
    }

    /// Value and mask of a part of operand `index` and of the operand behind it.
    private func pair(_ index: Int, _ shift: UInt64, _ bits: UInt64) -> (UInt64, UInt64) {
        (operands[index] >> shift & bits, operands[index + 1] >> shift & bits)
    }

    /// A part of the immediate; the mask is operand 0.
    private func immediate(_ name: String, _ shift: UInt64, _ bits: UInt64) -> String? {
        number(name, (UInt64(immediate) >> shift & bits, operands[0] >> shift & bits), full: bits)
    }

    private func number(_ name: String, _ field: (value: UInt64, mask: UInt64), full: UInt64, hex: Bool = false)
        -> String?
    {
        if field.mask == 0 { return nil }
        let value = hex ? Digits.hex(field.value) : String(field.value)
        return "\(name)=\(value)" + (field.mask == full ? "" : "/" + Digits.hex(field.mask))
    }

    private func mac(_ name: String, _ index: Int) -> String? {
        let mask = operands[index + 1]
        if mask == 0 { return nil }
        let value = Digits.ethernet(operands[index])
        return "\(name)=\(value)" + (mask == 0xffff_ffff_ffff ? "" : "/" + Digits.ethernet(mask))
    }

    private func ipv4(_ name: String, _ index: Int, _ shift: UInt64) -> String? {
        let mask = UInt32(truncatingIfNeeded: operands[index + 1] >> shift)
        if mask == 0 { return nil }
        let value = Digits.ipv4(UInt32(truncatingIfNeeded: operands[index] >> shift))
        return "\(name)=\(value)" + (mask == ~0 ? "" : "/" + Digits.ipv4(mask))
    }

    private func ipv6(_ name: String, _ index: Int) -> String? {
        let mask = UInt128(operands[index + 2]) << 64 | UInt128(operands[index + 3])
        if mask == 0 { return nil }
        let value = Digits.ipv6(UInt128(operands[index]) << 64 | UInt128(operands[index + 1]))
        return "\(name)=\(value)" + (mask == ~0 ? "" : "/" + Digits.ipv6(mask))
    }
}

extension DatapathOp {
    /// Words of operands that the op reads.
    var operandCount: Int {
        switch self {
        case .setEthernet, .setIPv4: 4
        case .setIPv6: 10
        case .setARP: 7
        case .setND: 8
        case .setNDExtensions: 2
        case .pushMPLS, .setMPLS, .setPorts, .setICMP, .setMark, .checkLength, .answer: 1
        case .track: 10
        case .trackClear, .recirculate, .translate, .meter, .reject: 0
        case .output, .drop, .pushVLAN, .popVLAN, .popMPLS, .truncate, .clone, .setQueue, .hash, .controller: 0
        }
    }
}
