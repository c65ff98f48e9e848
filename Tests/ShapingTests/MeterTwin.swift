import Shaping

/// A meter written down as one would explain it: no raw memory, no atomics, 128 bits so that nothing can overflow.
struct MeterTwin {
    private struct Band {
        var tokens: UInt128
        let rate: UInt128
        let capacity: UInt128
    }

    private let countsPackets: Bool
    private var bands: [Band]
    private var last: UInt64
    private(set) var statistics = MeterStatistics()

    init(_ settings: MeterSettings, now: UInt64) {
        countsPackets = settings.countsPackets
        bands = settings.bands.map { band in
            let capacity = UInt128(band.burst == 0 ? band.rate : band.burst) * 1000
            return Band(tokens: capacity, rate: UInt128(band.rate), capacity: capacity)
        }
        last = now
        statistics.bands = settings.bands.map { _ in MeterStatistics.Band() }
    }

    mutating func admits(bytes: UInt32, now: UInt64) -> Bool {
        let elapsed = UInt128(now > last ? now - last : 0)
        last = max(last, now)
        statistics.packets += 1
        statistics.bytes += UInt64(bytes)
        var exceeded: [Int] = []
        for i in bands.indices {
            bands[i].tokens = min(bands[i].tokens + elapsed * bands[i].rate, bands[i].capacity)
            let cost = countsPackets ? 1000 : UInt128(bytes) * 8
            if bands[i].tokens >= cost { bands[i].tokens -= cost } else { exceeded.append(i) }
        }
        // The first of those with the highest rate.
        guard let band = exceeded.max(by: { (bands[$0].rate, -$0) < (bands[$1].rate, -$1) }) else { return true }
        statistics.bands[band].packets += 1
        statistics.bands[band].bytes += UInt64(bytes)
        return false
    }
}
