/// SplitMix64: the same numbers for the same seed, everywhere.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// 0 ..< bound.
    public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    /// True once in `n`.
    public mutating func oneIn(_ n: Int) -> Bool { below(n) == 0 }
    public mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
    public mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
    public mutating func bits16() -> UInt16 { UInt16(truncatingIfNeeded: next()) }
    public mutating func bits32() -> UInt32 { UInt32(truncatingIfNeeded: next()) }
    public mutating func bits48() -> UInt64 { next() >> 16 }
    public mutating func bits128() -> UInt128 { UInt128(next()) << 64 | UInt128(next()) }
}

public func be16(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }
public func be32(_ value: UInt32) -> [UInt8] { be16(UInt16(value >> 16)) + be16(UInt16(value & 0xffff)) }
public func be48(_ value: UInt64) -> [UInt8] { be16(UInt16(value >> 32 & 0xffff)) + be32(UInt32(value & 0xffff_ffff)) }
public func be64(_ value: UInt64) -> [UInt8] { be32(UInt32(value >> 32)) + be32(UInt32(value & 0xffff_ffff)) }
public func be128(_ value: UInt128) -> [UInt8] {
    be64(UInt64(truncatingIfNeeded: value >> 64)) + be64(UInt64(truncatingIfNeeded: value))
}

/// Bytes from hexadecimal digits; anything else is skipped.
public func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue).map { UInt8($0) }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

public func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }.joined()
}
