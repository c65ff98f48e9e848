import Actions
import Base
import Flow
import FlowCache
import FrameSupport
import Memory
import Pipeline
import Testing

/// A cache with the packets of one burst, driven as a worker drives it, and a translator that is a plain function.
private struct Bench: ~Copyable {
    var cache: FlowCache
    var pool = PacketPool(small: 512, large: 1)
    let counters = Counters()
    let changes = ChangeLog()
    var translations = 0

    init(_ configure: (inout FlowCacheConfiguration) -> Void = { _ in }) {
        var configuration = FlowCacheConfiguration()
        configuration.exactEntries = 1024
        configuration.signatureEntries = 1024
        configuration.flowLimit = 4096
        configure(&configuration)
        cache = FlowCache(configuration, counters: counters, changes: changes)
        cache.setGeneration(changes.generation)
    }

    /// Looks keys up as one burst; the port that each would be sent to.
    mutating func lookUp(_ keys: [FlowKey], now: UInt64 = 1, _ translate: (FlowKey) -> Translation) -> [UInt32] {
        cache.setGeneration(changes.generation)
        for (i, key) in keys.enumerated() {
            guard let packet = pool.take(100) else {
                Issue.record("no buffer")
                return []
            }
            cache.burst.packets[i] = packet
            let words = cache.burst.freshKey(i)
            var isExtended = false
            for word in 0..<FlowKey.packetWords {
                words[word] = key.words[word]
                if word >= FlowKey.coreWords, key.words[word] != 0 { isExtended = true }
            }
            cache.prepare(i, isExtended: isExtended)
        }
        let unresolved = cache.classify(keys.count, now: now)
        for n in 0..<unresolved {
            let i = Int(cache.burst.unresolved[n])
            let status = cache.status(i, now: now)
            if status == .current { continue }
            let translation = translate(keys[i])
            translations += 1
            if case .suspect(let flow) = status {
                if cache.holds(flow, translation) {
                    cache.confirm(i, flow: flow, now: now)
                    continue
                }
                cache.invalidate(flow) { _, _ in }
            }
            cache.install(i, translation, now: now) { _, _ in }
        }
        let ports = keys.indices.map { cache.burst.block($0)?.soleOutput ?? 0 }
        for i in keys.indices { pool.free(cache.burst.packets[i]) }
        cache.endBurst()
        return ports
    }
}

/// Ports decided by a prefix of the destination and, for some, the source: masks of many shapes, all sound.
private func route(_ key: FlowKey, salt: UInt64 = 0) -> Translation {
    var translation = Translation()
    translation.mask.setExact(.inPort)
    translation.mask.setExact(.ethType)
    let destination = key[.ipv4Dst]
    let bits = 8 + destination >> 29 * 3
    let mask = UInt64(0xffff_ffff) << (32 - bits) & 0xffff_ffff
    // The top three bits choose how much more is looked at.
    translation.mask[.ipv4Dst] = mask | 0xe000_0000
    var port = (destination & mask) >> (32 - bits) &+ salt
    if destination >> 29 & 1 == 1 {
        translation.mask[.tpSrc] = 0xff00
        port = port &* 31 &+ key[.tpSrc] >> 8
    }
    if key[.ethType] == 0x86dd {
        translation.mask.setExact(.ipv6Dst)
        port = port &+ UInt64(truncatingIfNeeded: key[wide: .ipv6Dst])
    }
    translation.program.output(PortIndex(UInt32(truncatingIfNeeded: port % 1000 + 1)))
    translation.dependencies = .table(bridge: 0, UInt8(destination >> 29))
    return translation
}

private func randomKey(_ random: inout some RandomNumberGenerator) -> FlowKey {
    var key = FlowKey()
    key[.inPort] = UInt64.random(in: 1...2, using: &random)
    key[.ethDst] = UInt64.random(in: 0...3, using: &random)
    key[.ipv4Dst] = UInt64(UInt32.random(in: 0...UInt32.max, using: &random)) & 0xff0f_0f0f
    key[.tpSrc] = UInt64.random(in: 0...0xffff, using: &random)
    key[.ethType] = 0x0800
    if Int.random(in: 0..<4, using: &random) == 0 {
        key[.ethType] = 0x86dd
        key[wide: .ipv6Dst] = UInt128(UInt64.random(in: 0...3, using: &random))
    }
    return key
}

@Suite struct FlowCacheTests {
    @Test(arguments: [FlowCacheConfiguration.Levels.all, .megaflow, .none])
    func everyLevelGivesWhatTranslationGives(levels: FlowCacheConfiguration.Levels) {
        var random = SeededRandom(seed: 7)
        let keys = (0..<600).map { _ in randomKey(&random) }
        var bench = Bench { $0.levels = levels }
        for _ in 0..<300 {
            let burst = (0..<32).map { _ in keys.randomElement(using: &random)! }
            let ports = bench.lookUp(burst) { route($0) }
            #expect(ports == burst.map { route($0).program.words[0] & 0xffff_ffff }.map { UInt32($0) })
        }
        #expect(bench.pool.inUse == 0)
        let statistics = bench.cache.statistics
        if levels == .all {
            #expect(statistics.exactHits > 0)
            #expect(bench.translations < 600)
        }
        if levels == .none { #expect(bench.translations == 9600) }
    }

    @Test func changeReachesTheNextPacketAndLeavesOthersAlone() {
        var random = SeededRandom(seed: 11)
        let keys = (0..<200).map { _ in randomKey(&random) }
        var bench = Bench()
        for key in keys { _ = bench.lookUp([key]) { route($0) } }
        let before = bench.translations
        // Table 3 answers differently from now on.
        bench.changes.touch(.table(bridge: 0, 3))
        for key in keys {
            let salt: UInt64 = key[.ipv4Dst] >> 29 == 3 ? 5 : 0
            let port = bench.lookUp([key]) { route($0, salt: salt) }
            #expect(port == [UInt32(route(key, salt: salt).program.words[0] & 0xffff_ffff)])
        }
        #expect(bench.translations > before)
        #expect(bench.cache.statistics.invalidated > 0)
        // A change that is none: looked at again and kept.
        let invalidated = bench.cache.statistics.invalidated
        bench.changes.touch(.table(bridge: 0, 1))
        for key in keys { _ = bench.lookUp([key]) { route($0, salt: key[.ipv4Dst] >> 29 == 3 ? 5 : 0) } }
        #expect(bench.cache.statistics.invalidated == invalidated)
        #expect(bench.cache.statistics.revalidated > 0)
    }

    @Test func creditsAddUpWhateverTheCachesDo() {
        var random = SeededRandom(seed: 13)
        let keys = (0..<400).map { _ in randomKey(&random) }
        var bench = Bench { $0.flowLimit = 40 }
        guard let handle = bench.counters.allocate(now: 0) else { return }
        for _ in 0..<200 {
            let burst = (0..<16).map { _ in keys.randomElement(using: &random)! }
            _ = bench.lookUp(burst) {
                var translation = route($0)
                translation.credits = [Credit(.counter, handle)]
                translation.isCacheable = $0[.tpSrc] & 7 != 0
                return translation
            }
        }
        #expect(bench.cache.flowCount <= 40)
        #expect(bench.cache.statistics.evicted > 0)
        bench.cache.settle(0..<bench.cache.settleEnd) { _, _ in }
        #expect(bench.counters.value(handle).packets == 3200)
        #expect(bench.counters.value(handle).bytes == 320_000)
    }

    /// A table that grew gives its memory back, and those that stay are found at their new places.
    @Test func tableShrinksWhenMegaflowsGo() {
        var bench = Bench()
        func answer(_ key: FlowKey) -> Translation {
            var translation = Translation()
            translation.mask.setExact(.ipv4Dst)
            translation.program.output(PortIndex(UInt32(key[.ipv4Dst] % 1000 + 1)))
            return translation
        }
        func key(_ i: Int) -> FlowKey {
            var key = FlowKey()
            key[.ipv4Dst] = UInt64(i)
            return key
        }
        for i in 0..<4000 { _ = bench.lookUp([key(i)], now: 1) { answer($0) } }
        let full = bench.cache.tupleBytes
        for i in 0..<50 { _ = bench.lookUp([key(i * 80)], now: 9000) { answer($0) } }
        bench.cache.sweep(4096, now: 10_500) { _, _ in }
        #expect(bench.cache.flowCount == 50)
        bench.cache.rank()
        #expect(bench.cache.tupleBytes < full / 16)
        let translations = bench.translations
        for i in 0..<50 {
            #expect(bench.lookUp([key(i * 80)], now: 10_600) { answer($0) } == [UInt32(i * 80 % 1000 + 1)])
        }
        #expect(bench.translations == translations)
        for i in 0..<4000 { _ = bench.lookUp([key(i)], now: 10_700) { answer($0) } }
        #expect(bench.cache.flowCount == 4000)
    }

    @Test func idleMegaflowsGoAndFlushEmptiesAll() {
        var random = SeededRandom(seed: 17)
        let keys = (0..<100).map { _ in randomKey(&random) }
        var bench = Bench()
        for key in keys { _ = bench.lookUp([key], now: 1000) { route($0) } }
        _ = bench.lookUp([keys[0]], now: 9000) { route($0) }
        bench.cache.sweep(4096, now: 12_000) { _, _ in }
        #expect(bench.cache.flowCount == 1)
        bench.cache.rank()
        #expect(bench.cache.maskCount == 1)
        bench.cache.flush { _, _ in }
        #expect(bench.cache.flowCount == 0)
        #expect(bench.cache.maskCount == 0)
        #expect(bench.lookUp([keys[0]]) { route($0) } != [0])
    }

    @Test func masksAreBounded() {
        var bench = Bench()
        for i in 0..<2000 {
            var key = FlowKey()
            key[.inPort] = 1
            key[.tpSrc] = UInt64(i)
            let port = bench.lookUp([key]) { key in
                var translation = Translation()
                translation.mask.setExact(.inPort)
                translation.mask.setExact(.tpSrc)
                // A mask of its own for each: bits of fields that are zero in all of these packets.
                translation.mask[.ethDst] = key[.tpSrc] + 1
                translation.program.output(PortIndex(UInt32(key[.tpSrc]) + 1))
                return translation
            }
            #expect(port == [UInt32(i) + 1])
        }
        #expect(bench.cache.maskCount <= FlowCacheLimits.maximumTuples)
    }

    @Test func exactCacheLosesNobodyWhileHalfFull() {
        var random = SeededRandom(seed: 19)
        var bench = Bench { $0.flowLimit = 1000 }
        // Enough masks for the exact cache to be asked, few enough flows to fit.
        let keys = (0..<450).map { i in
            var key = randomKey(&random)
            key[.ethType] = 0x0800
            key[wide: .ipv6Dst] = 0
            key[.tpDst] = UInt64(i)
            return key
        }
        for _ in 0..<3 { for key in keys { _ = bench.lookUp([key]) { route($0) } } }
        let before = bench.cache.statistics
        for key in keys { _ = bench.lookUp([key]) { route($0) } }
        let after = bench.cache.statistics
        #expect(after.misses == before.misses)
        #expect(after.exactHits - before.exactHits == 450)
    }
}
