import Actions
import Base
import Control
import Dataplane
import Flow
import FrameSupport
import Memory
import Pipeline

/// One configuration whose answers are tried: a frame is translated, then others like it, all without effects.
final class Soundness {
    struct Answer: Equatable {
        var words: [UInt64]
        var reason: DropReason?
        var credits: [Credit]
    }

    struct Failure {
        var port: String
        var frame: [UInt8]
        var other: [UInt8]
    }

    let sw: OracleSwitch
    let translator = Translator()
    let keys = KeyMaker()
    private(set) var compared = 0
    private var previous = FlowKey()

    init(_ lines: [[String]]) throws {
        sw = try OracleSwitch()
        for line in lines { sw.accepts(line) }
        keys.vlanLimit = sw.device.model.state.settings.vlanLimit
        learn("br0", 0, 0x0200_0000_0001, "p1")
        learn("br0", 1, 0x0200_0000_0002, "p2")
        learn("br0", 2, 0x0200_0000_0003, "p4")
        learn("br1", 0, 0x0200_0000_0002, "q2")
    }

    private func learn(_ bridge: String, _ vlan: UInt16, _ mac: UInt64, _ port: String) {
        guard let index = sw.index(port), let bridge = sw.device.model.state.bridge(named: bridge) else { return }
        _ = bridge.stations.learn(vlan: vlan, mac: mac, port: index, now: 1)
    }

    private func translate(_ key: FlowKey, _ packet: Packet) -> Answer {
        withUnsafePointer(to: key) {
            translator.translate(
                $0, packetLength: Int(packet.pointee.length), packet: packet, state: sw.device.model.state, now: 1,
                effects: nil)
        }
        let translation = translator.translation
        return Answer(
            words: translation.program.words, reason: translation.dropReason, credits: translation.credits)
    }

    // MARK: Trying

    /// A frame and all the others that `random` makes of it; the first that should be answered alike and is not.
    func firstFailure(_ frame: [UInt8], port: String, random: inout OracleFrames) -> Failure? {
        guard let index = sw.index(port) else { return nil }
        guard let (key, answer) = keys.withKey(frame, port: index, { ($0, translate($0, $1)) }),
            translator.translation.isCacheable
        else { return nil }
        let mask = translator.translation.mask
        let before = previous
        previous = key
        func differs(_ other: [UInt8]) -> Bool { !holds(answer, key, mask, other, index) }
        for bit in 0..<8 * min(frame.count, 120) {
            var other = frame
            other[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            if differs(other) { return Failure(port: port, frame: frame, other: other) }
        }
        for length in 14..<max(14, frame.count) {
            let other = Array(frame.prefix(length))
            if differs(other) { return Failure(port: port, frame: frame, other: other) }
        }
        for _ in 0..<60 {
            let other = random.mutated(frame)
            if differs(other) { return Failure(port: port, frame: frame, other: other) }
        }
        for other in framesOfKeys(key, mask, before, &random) where differs(other) {
            return Failure(port: port, frame: frame, other: other)
        }
        return nil
    }

    /// Frames of keys that differ in wildcarded bits: each single one, random sets, whole words, those of another frame.
    private func framesOfKeys(
        _ key: FlowKey, _ mask: FlowMask, _ another: FlowKey, _ random: inout OracleFrames
    ) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        for word in 0..<FlowKey.packetWords {
            let free = ~mask.bits.words[word] & (word == 0 ? 0xffff_ffff : ~0)
            guard free != 0 else { continue }
            for bit in 0..<64 where free >> UInt64(bit) & 1 != 0 {
                var other = key
                other.words[word] ^= 1 << UInt64(bit)
                frames.append(KeyMaker.frame(other))
            }
            for _ in 0..<2 {
                var other = key
                other.words[word] ^= random.random.next() & free
                frames.append(KeyMaker.frame(other))
            }
        }
        for _ in 0..<30 {
            var other = key
            for word in 0..<FlowKey.packetWords where random.chance(60) {
                let free = ~mask.bits.words[word] & (word == 0 ? 0xffff_ffff : ~0)
                let value = random.chance(60) ? another.words[word] : random.random.next()
                other.words[word] = other.words[word] & ~free | value & free
            }
            frames.append(KeyMaker.frame(other))
        }
        return frames
    }

    /// Whether another frame either differs in what the mask covers or gets the same answer.
    private func holds(
        _ answer: Answer, _ key: FlowKey, _ mask: FlowMask, _ frame: [UInt8], _ port: PortIndex
    ) -> Bool {
        keys.withKey(frame, port: port) { other, packet in
            guard other != key, Self.agree(key, other, mask) else { return true }
            compared += 1
            return translate(other, packet) == answer
        } ?? true
    }

    private static func agree(_ a: FlowKey, _ b: FlowKey, _ mask: FlowMask) -> Bool {
        for i in 0..<FlowKey.wordCount where (a.words[i] ^ b.words[i]) & mask.bits.words[i] != 0 { return false }
        return true
    }

    func isReproduced(_ failure: Failure) -> Bool {
        guard let index = sw.index(failure.port),
            let (key, answer) = keys.withKey(failure.frame, port: index, { ($0, translate($0, $1)) }),
            translator.translation.isCacheable
        else { return false }
        return !holds(answer, key, translator.translation.mask, failure.other, index)
    }
}

// MARK: - Telling

extension Soundness {
    /// The configuration cut down to what is needed, the two frames, the bits in which their keys differ, and both traces.
    static func report(_ lines: [[String]], _ failure: Failure) -> String {
        let few = minimised(lines) { (try? Soundness($0).isReproduced(failure)) ?? false }
        guard let small = try? Soundness(few) else { return "cannot be set up again" }
        var failure = failure
        if failure.frame.count == failure.other.count {
            for i in failure.frame.indices where failure.frame[i] != failure.other[i] {
                var closer = failure
                closer.other[i] = failure.frame[i]
                if small.isReproduced(closer) { failure = closer }
            }
        }
        var text = few.map { $0.joined(separator: " ") }.joined(separator: "\n")
        text += "\nport \(failure.port)\nframe \(hex(failure.frame))\nother \(hex(failure.other))\n"
        return text + small.differences(failure)
    }

    private func differences(_ failure: Failure) -> String {
        guard let index = sw.index(failure.port),
            let (key, answer) = keys.withKey(failure.frame, port: index, { ($0, translate($0, $1)) })
        else { return "" }
        let mask = translator.translation.mask
        guard let (other, otherAnswer) = keys.withKey(failure.other, port: index, { ($0, translate($0, $1)) }) else {
            return ""
        }
        var text = ""
        for word in 0..<FlowKey.wordCount where key.words[word] != other.words[word] {
            text +=
                "word \(word): \(String(key.words[word], radix: 16)) or \(String(other.words[word], radix: 16)), "
                + "mask \(String(mask.bits.words[word], radix: 16))\n"
        }
        text += "megaflow \(FlowPrinter().megaflow(key, mask))\n"
        return text + "answer \(describe(answer))\nbut    \(describe(otherAnswer))"
    }

    private func describe(_ answer: Answer) -> String {
        let program = ProgramFormatter.format(answer.words) { self.sw.device.model.state.port($0)?.name ?? "?" }
        return "\(program) reason \(answer.reason.map { "\($0)" } ?? "none"), credits \(answer.credits.map(\.handle))"
    }
}
