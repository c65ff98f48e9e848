import CLinux

// Policing by token buckets: OpenFlow 1.5.1, section 5.7 "Meter Table", in the way of Open vSwitch's userspace datapath.
//
// A meter has bands. Each band is a bucket of its own, filled at the band's rate up to its burst and drained by every
// frame, whether other bands have had enough of it or not. A frame that a bucket cannot pay for exceeds that band; of the
// bands it exceeds, the one with the highest rate applies, and all bands here drop.
//
// Units. With `pktps` a bucket holds thousandths of a packet and a frame costs 1,000; with `kbps` it holds bits and
// a frame costs eight for each byte. Either way a rate is what one millisecond adds, and time in milliseconds is all the
// arithmetic needs: no fraction is ever lost. A bucket starts full. A band without a burst holds what its rate gives in
// one second.
//
// Sharing. One meter is used by all workers at once, without a lock. Whoever moves `used` forward to the present
// millisecond by compare-and-swap, and only he, adds what that time was worth to the buckets; takings are compare-and-swap
// on the bucket. So no token is given twice, and none is lost but by what overflows. A worker that is a few
// milliseconds behind adds nothing and takes from what is there.
//
// Memory. One block a meter, 64 bytes for the head and for each of up to eight bands, so that buckets of different meters
// do not share cache lines. What a block says changes only while no number leads to it: a changed meter is another block
// (`MeterTable`). Blocks are never given back to the system, so whoever still holds the address of an old one at worst counts
// a frame where it belongs to nobody.

/// What a meter is to do.
public struct MeterSettings: Hashable, Sendable {
    public struct Band: Hashable, Sendable {
        /// Kilobits or packets a second; not 0.
        public var rate: UInt32
        /// Kilobits or packets; 0 stands for as much as a second gives.
        public var burst: UInt32

        public init(rate: UInt32, burst: UInt32) {
            self.rate = rate
            self.burst = burst
        }

        /// What the bucket holds at the most.
        public var capacity: UInt64 { UInt64(burst == 0 ? rate : burst) * 1000 }
    }

    /// Counts packets; otherwise bits.
    public var countsPackets: Bool
    public var bands: [Band]

    public init(countsPackets: Bool, bands: [Band]) {
        self.countsPackets = countsPackets
        self.bands = bands
    }

    /// As in Open vSwitch.
    public static var maximumBands: Int { 8 }
}

/// What a meter saw: read at one moment, while workers go on.
public struct MeterStatistics: Equatable, Sendable {
    public struct Band: Equatable, Sendable {
        public var packets: UInt64 = 0
        public var bytes: UInt64 = 0
        public init() {}
    }
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var bands: [Band] = []
    public init() {}
}

/// One meter in raw memory: a pointer to its block.
struct MeterBlock {
    /// Eight words, all of them atomic.
    private struct Head {
        /// Milliseconds up to which the buckets have been filled.
        var used: UInt64 = 0
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var bandCount: UInt64 = 0
        var countsPackets: UInt64 = 0
        /// Milliseconds that fill every bucket: more need not be multiplied.
        var longest: UInt64 = 0
        var unused: (UInt64, UInt64) = (0, 0)
    }

    /// The same.
    private struct Band {
        var tokens: UInt64 = 0
        var rate: UInt64 = 0
        var capacity: UInt64 = 0
        /// Of the frames that the band dropped.
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var unused: (UInt64, UInt64, UInt64) = (0, 0, 0)
    }

    static var byteCount: Int {
        MemoryLayout<Head>.stride + MeterSettings.maximumBands * MemoryLayout<Band>.stride
    }

    private let head: UnsafeMutablePointer<Head>
    private let bands: UnsafeMutablePointer<Band>

    init(_ address: UnsafeMutableRawPointer) {
        head = address.assumingMemoryBound(to: Head.self)
        bands = (address + MemoryLayout<Head>.stride).assumingMemoryBound(to: Band.self)
    }

    var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(head) }

    private var bandCount: Int {
        Swift.min(Int(truncatingIfNeeded: weft_atomic_load(&head.pointee.bandCount)), MeterSettings.maximumBands)
    }

    /// Makes it a meter with full buckets that has seen nothing. `now` in milliseconds.
    func start(_ settings: MeterSettings, now: UInt64) {
        let longest = settings.bands.map { ($0.capacity + UInt64($0.rate) - 1) / UInt64(max($0.rate, 1)) }.max() ?? 0
        weft_atomic_store(&head.pointee.used, now)
        weft_atomic_store(&head.pointee.packets, 0)
        weft_atomic_store(&head.pointee.bytes, 0)
        weft_atomic_store(&head.pointee.countsPackets, settings.countsPackets ? 1 : 0)
        weft_atomic_store(&head.pointee.longest, longest)
        for (i, band) in settings.bands.prefix(MeterSettings.maximumBands).enumerated() {
            weft_atomic_store(&bands[i].tokens, band.capacity)
            weft_atomic_store(&bands[i].rate, UInt64(band.rate))
            weft_atomic_store(&bands[i].capacity, band.capacity)
            weft_atomic_store(&bands[i].packets, 0)
            weft_atomic_store(&bands[i].bytes, 0)
        }
        weft_atomic_store(&head.pointee.bandCount, UInt64(settings.bands.count))
    }

    /// Takes a frame of so many bytes at `now` milliseconds. False: it exceeds the meter, which is counted.
    func admits(bytes: UInt32, now: UInt64) -> Bool {
        let count = bandCount
        fill(now, count)
        weft_atomic_add(&head.pointee.packets, 1)
        weft_atomic_add(&head.pointee.bytes, UInt64(bytes))
        let cost = weft_atomic_load(&head.pointee.countsPackets) != 0 ? 1000 : UInt64(bytes) &* 8
        // OpenFlow 1.5.1, 5.7.1: if several bands are exceeded, the one with the highest configured rate is used.
        var exceeded = -1
        var highest: UInt64 = 0
        for i in 0..<count where !Self.take(cost, from: bands + i) {
            let rate = weft_atomic_load(&bands[i].rate)
            guard rate > highest else { continue }
            exceeded = i
            highest = rate
        }
        guard exceeded >= 0 else { return true }
        weft_atomic_add(&bands[exceeded].packets, 1)
        weft_atomic_add(&bands[exceeded].bytes, UInt64(bytes))
        return false
    }

    /// Adds to the buckets what the time since the last frame was worth.
    @inline(__always) private func fill(_ now: UInt64, _ count: Int) {
        var used = weft_atomic_load(&head.pointee.used)
        while used < now {
            guard weft_atomic_compare_exchange(&head.pointee.used, used, now) else {
                used = weft_atomic_load(&head.pointee.used)
                continue
            }
            let elapsed = Swift.min(now &- used, weft_atomic_load(&head.pointee.longest))
            for i in 0..<count { Self.add(elapsed &* weft_atomic_load(&bands[i].rate), to: bands + i) }
            return
        }
    }

    @inline(__always) private static func add(_ tokens: UInt64, to band: UnsafeMutablePointer<Band>) {
        while true {
            let old = weft_atomic_load(&band.pointee.tokens)
            let new = Swift.min(old &+ tokens, weft_atomic_load(&band.pointee.capacity))
            if weft_atomic_compare_exchange(&band.pointee.tokens, old, new) { return }
        }
    }

    @inline(__always) private static func take(_ cost: UInt64, from band: UnsafeMutablePointer<Band>) -> Bool {
        while true {
            let old = weft_atomic_load(&band.pointee.tokens)
            guard old >= cost else { return false }
            if weft_atomic_compare_exchange(&band.pointee.tokens, old, old &- cost) { return true }
        }
    }

    var statistics: MeterStatistics {
        var result = MeterStatistics()
        result.packets = weft_atomic_load(&head.pointee.packets)
        result.bytes = weft_atomic_load(&head.pointee.bytes)
        for i in 0..<bandCount {
            var band = MeterStatistics.Band()
            band.packets = weft_atomic_load(&bands[i].packets)
            band.bytes = weft_atomic_load(&bands[i].bytes)
            result.bands.append(band)
        }
        return result
    }
}
