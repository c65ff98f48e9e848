import Actions
import Base
import Benchmark
import Classifier
import Flow
import FlowCache
import Memory
import Pipeline

/// A cache filled with the megaflows of some flows, and the packets of those flows.
private struct CacheBench: ~Copyable {
    var cache: FlowCache
    var pool: PacketPool
    let packets: [Packet]
    let translation: Translation

    init(flows: Int, exact: Bool) {
        var configuration = FlowCacheConfiguration()
        if !exact { configuration.levels = .megaflow }
        let changes = ChangeLog()
        cache = FlowCache(configuration, counters: Counters(), changes: changes)
        cache.setGeneration(changes.generation)
        pool = PacketPool(small: flows + 64, large: 1)
        packets = Traffic.packets(flows, from: &pool)
        var translation = Translation()
        translation.mask.setExact(.inPort)
        translation.mask.setExact(.ethType)
        translation.mask[.ipv4Dst] = 0xff00_0000
        translation.program.output(PortIndex(2))
        self.translation = translation
    }

    /// One burst of 32 packets from `start` on: extract, look up, install what misses.
    mutating func burst(_ start: Int) {
        for i in 0..<32 {
            let packet = packets[(start &+ i) % packets.count]
            cache.burst.packets[i] = packet
            let keyClass = extractKey(packet, into: cache.burst.freshKey(i), vlanLimit: 1)
            cache.prepare(i, isExtended: keyClass != .core)
        }
        let unresolved = cache.classify(32, now: 1)
        for n in 0..<unresolved {
            let i = Int(cache.burst.unresolved[n])
            if cache.status(i, now: 1) != .current { cache.install(i, translation, now: 1) { _, _ in } }
        }
        cache.endBurst()
    }
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .throughput], scalingFactor: .kilo, maxDuration: .seconds(2))

    Benchmark("extract the key of a 60-byte UDP frame") { benchmark in
        var pool = PacketPool(small: 2048, large: 1)
        let packets = Traffic.packets(1024, from: &pool)
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: FlowKey.wordCount)
        defer { words.deallocate() }
        words.initialize(repeating: 0, count: FlowKey.wordCount)
        benchmark.startMeasurement()
        for n in benchmark.scaledIterations { blackHole(extractKey(packets[n & 1023], into: words, vlanLimit: 1)) }
        benchmark.stopMeasurement()
    }

    for flows in [1, 10_000] {
        Benchmark("extract and look up a burst of 32, \(flows) flows, one megaflow") { benchmark in
            var bench = CacheBench(flows: flows, exact: true)
            bench.burst(0)
            benchmark.startMeasurement()
            for n in benchmark.scaledIterations { bench.burst(n &* 32) }
            benchmark.stopMeasurement()
        }
    }

    for count in [500, 10_000] {
        Benchmark("classifier lookup among \(count) rules") { benchmark in
            let classifier = Classifier()
            let parser = FlowParser()
            for (n, line) in Traffic.rules(count).enumerated() {
                guard let flow = try? parser.parse(line), classifier.find(flow.match, priority: flow.priority) == nil
                else { continue }
                classifier.insert(flow.match, priority: flow.priority, rule: RuleIndex(n))
            }
            var pool = PacketPool(small: 2048, large: 1)
            var scratch = ClassifierScratch()
            var keys = [FlowKey](repeating: FlowKey(), count: 1024)
            for (n, packet) in Traffic.packets(1024, from: &pool).enumerated() {
                withUnsafeMutableBytes(of: &keys[n]) { bytes in
                    _ = extractKey(packet, into: bytes.assumingMemoryBound(to: UInt64.self).baseAddress!, vlanLimit: 1)
                }
            }
            var mask = FlowMask()
            benchmark.startMeasurement()
            keys.withUnsafeBufferPointer { keys in
                for n in benchmark.scaledIterations {
                    blackHole(classifier.lookup(keys.baseAddress! + (n & 1023), mask: &mask, scratch: &scratch))
                }
            }
            benchmark.stopMeasurement()
        }
    }

    Benchmark("parse a flow of an access list") { benchmark in
        let lines = Traffic.rules(1024)
        let parser = FlowParser()
        benchmark.startMeasurement()
        for n in benchmark.scaledIterations { blackHole(try? parser.parse(lines[n & 1023])) }
        benchmark.stopMeasurement()
    }
}
