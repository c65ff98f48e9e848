// Unaligned big-endian loads and stores. Callers have checked the bounds: nothing here does.

extension UnsafeRawPointer {
    @inlinable @inline(__always) public func be16(_ offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    @inlinable @inline(__always) public func be32(_ offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    @inlinable @inline(__always) public func be64(_ offset: Int) -> UInt64 {
        UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    @inlinable @inline(__always) public func byte(_ offset: Int) -> UInt8 {
        load(fromByteOffset: offset, as: UInt8.self)
    }
    /// 48 bits, as of a MAC address.
    @inlinable @inline(__always) public func be48(_ offset: Int) -> UInt64 {
        UInt64(be32(offset)) &<< 16 | UInt64(be16(offset &+ 4))
    }
}

extension UnsafeMutableRawPointer {
    @inlinable @inline(__always) public func store16(_ value: UInt16, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }
    @inlinable @inline(__always) public func store32(_ value: UInt32, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
    @inlinable @inline(__always) public func store64(_ value: UInt64, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }
    @inlinable @inline(__always) public func store8(_ value: UInt8, _ offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }
    @inlinable @inline(__always) public func store48(_ value: UInt64, _ offset: Int) {
        store32(UInt32(truncatingIfNeeded: value &>> 16), offset)
        store16(UInt16(truncatingIfNeeded: value), offset &+ 4)
    }
}
