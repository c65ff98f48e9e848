import Actions
import Base
import Flow
import Foundation
import Memory
import Pipeline

/// A switch in a test: the state, a translator and the executor, without caches, threads and ports. It understands the
/// command lines of scenarios.
final class TranslatorSwitch {
    struct Refused: Error, CustomStringConvertible {
        var description: String
    }

    let model = SwitchModel()
    let translator = Translator()
    let effects: TranslationEffects
    var now: UInt64 = 1_000_000
    private var pool = PacketPool(small: 512, large: 8)
    private let batches: OutputBatches
    private let drops = UnsafeMutablePointer<UInt64>.allocate(capacity: 64)
    /// Every answer so far, as a cache would have it.
    private var answers: [Answer] = []

    private struct Answer {
        var key: FlowKey
        var mask: FlowMask
        var words: [UInt64]
        var generation: UInt64
        var dependencies: Dependencies
    }

    init() {
        effects = TranslationEffects(learnQueue: model.learnQueue, counters: model.counters)
        drops.initialize(repeating: 0, count: 64)
        batches = OutputBatches(context: UnsafeMutableRawPointer(drops), flush: { _, _ in })
    }

    deinit { drops.deallocate() }

    // MARK: Frames

    /// Frames by port that come out when one goes in.
    func inject(_ port: String, _ frame: [UInt8]) throws -> [String: [[UInt8]]] {
        guard let index = model.state.port(named: port)?.index else { throw Refused(description: "no port \(port)") }
        guard let packet = pool.take(frame.count) else { throw Refused(description: "no buffer") }
        for (i, byte) in frame.enumerated() {
            packet.pointee.data.storeBytes(of: byte, toByteOffset: i, as: UInt8.self)
        }
        packet.pointee.length = UInt32(frame.count)
        packet.pointee.inPort = index
        var key = FlowKey()
        let kind: KeyClass = withUnsafeMutablePointer(to: &key) {
            extractKey(
                packet, into: UnsafeMutableRawPointer($0).assumingMemoryBound(to: UInt64.self),
                vlanLimit: model.state.settings.vlanLimit)
        }
        guard kind != .tooShort else {
            pool.free(packet)
            return [:]
        }
        let generation = model.changes.generation
        withUnsafePointer(to: key) {
            translator.translate($0, packetLength: frame.count, state: model.state, now: now, effects: effects)
        }
        let words = translator.translation.program.words
        try compareWithAnswers(key, words)
        if translator.translation.isCacheable {
            answers.append(
                Answer(
                    key: key, mask: translator.translation.mask, words: words, generation: generation,
                    dependencies: translator.translation.dependencies))
        }
        for credit in translator.translation.credits where credit.kind == .counter {
            model.counters.add(credit.handle, packets: 1, bytes: UInt64(frame.count), now: now)
        }
        if words.isEmpty {
            pool.free(packet)
        } else {
            words.withUnsafeBufferPointer {
                _ = Executor.execute(
                    $0.baseAddress!, count: $0.count, on: packet, pool: &pool, outputs: batches, drops: drops)
            }
        }
        return collect()
    }

    private func collect() -> [String: [[UInt8]]] {
        var out: [String: [[UInt8]]] = [:]
        for i in 0..<batches.activeCount {
            let port = batches.active[i]
            let name = model.state.port(PortIndex(port))?.name ?? "?"
            for packet in batches.take(port) {
                let bytes = UnsafeRawBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.length))
                out[name, default: []].append(Array(bytes))
                pool.free(packet)
            }
        }
        batches.endRound()
        model.applyLearned(now: now)
        return out
    }

    /// An answer that is still good and covers the packet has to be the one that it gets now.
    private func compareWithAnswers(_ key: FlowKey, _ words: [UInt64]) throws {
        answers.removeAll { model.changes.wasTouched($0.dependencies, since: $0.generation) }
        for answer in answers {
            var differs = false
            for i in 0..<FlowKey.wordCount
            where (answer.key.words[i] ^ key.words[i]) & answer.mask.bits.words[i] != 0 {
                differs = true
                break
            }
            if !differs, answer.words != words {
                throw Refused(
                    description: "megaflow \(FlowPrinter().megaflow(answer.key, answer.mask)) says "
                        + "\(format(answer.words)), the tables \(format(words))")
            }
        }
    }

    func format(_ words: [UInt64]) -> String {
        ProgramFormatter.format(words) { self.model.state.port($0)?.name ?? "?" }
    }

    // MARK: Time

    func warp(_ milliseconds: UInt64) {
        now += milliseconds
        model.expireRules(now: now)
        for case let bridge? in model.state.bridges { bridge.stations.expire(now: now) }
    }

    // MARK: Trace

    /// What happens to a frame from a port.
    func trace(_ port: String, _ hex: String) throws -> String {
        guard let port = model.state.port(named: port), let bridge = model.state.bridges[port.bridge] else { return "" }
        return try trace(bridge.name, "in_port=\(port.number.rawValue)", hex)
    }

    func trace(_ bridge: String, _ flow: String, _ hex: String?) throws -> String {
        guard let state = model.state.bridge(named: bridge) else { throw Refused(description: "no bridge") }
        var key = try PacketParser(context()).parse(flow)
        var length = 64
        if let hex {
            let frame = Self.bytes(hex)
            guard let packet = pool.take(frame.count) else { throw Refused(description: "no buffer") }
            defer { pool.free(packet) }
            for (i, byte) in frame.enumerated() {
                packet.pointee.data.storeBytes(of: byte, toByteOffset: i, as: UInt8.self)
            }
            packet.pointee.length = UInt32(frame.count)
            packet.pointee.inPort = PortIndex(UInt32(key[.inPort]))
            withUnsafeMutablePointer(to: &key) {
                _ = extractKey(
                    packet, into: UnsafeMutableRawPointer($0).assumingMemoryBound(to: UInt64.self), vlanLimit: 1)
            }
            length = frame.count
        }
        return translator.trace(
            key, packetLength: length, on: state, state: model.state, now: now,
            portName: { self.model.state.port($0)?.name ?? "?" })
    }

    func context(_ version: OpenFlowVersion = .openFlow15) -> FlowContext {
        var context = FlowContext(version: version)
        context.portNumber = { name in self.model.state.port(named: name)?.number }
        return context
    }

    static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16) ?? 0
        }
    }
}

// MARK: - Answers

extension TranslatorSwitch {
    struct Outcome {
        var words: [UInt64]
        var mask: FlowMask
        var reason: DropReason?
        var credits: [Credit]
        var dependencies: Dependencies
        var isCacheable: Bool
    }

    /// Translates a key without any effect.
    func answer(_ key: FlowKey, effects: TranslationEffects? = nil, length: Int = 64) -> Outcome {
        withUnsafePointer(to: key) {
            translator.translate($0, packetLength: length, state: model.state, now: now, effects: effects)
        }
        let translation = translator.translation
        return Outcome(
            words: translation.program.words, mask: translation.mask, reason: translation.dropReason,
            credits: translation.credits, dependencies: translation.dependencies, isCacheable: translation.isCacheable)
    }

    /// The program as text; `drop` and the reason if there is none.
    func program(_ key: FlowKey) -> String {
        let outcome = answer(key)
        return format(outcome.words)
    }

    /// The trace of a key as received.
    func explain(_ key: FlowKey) -> String {
        guard let port = model.state.port(PortIndex(UInt32(key[.inPort]))),
            let bridge = model.state.bridges[port.bridge]
        else { return "no such port" }
        var shown = key
        shown[.inPort] = UInt64(port.number.rawValue)
        return translator.trace(
            shown, packetLength: 64, on: bridge, state: model.state, now: now,
            portName: { self.model.state.port($0)?.name ?? "?" })
    }

    func addFlow(_ bridge: String, _ flow: String, cookie: Int = 0) throws {
        try changeFlows(["add-flow", bridge, "cookie=\(cookie),\(flow)"], .openFlow15)
    }

    func learn(_ bridge: String, vlan: UInt16, mac: UInt64, port: String) {
        guard let index = model.state.port(named: port)?.index else { return }
        _ = model.state.bridge(named: bridge)?.stations.learn(vlan: vlan, mac: mac, port: index, now: now)
    }
}
