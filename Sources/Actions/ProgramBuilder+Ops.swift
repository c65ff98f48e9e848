import Base

// One function for each op that has operands: the only place that knows how they are packed. `Operands.swift` is the
// inverse. Values are host order and right-aligned; a value must have no bits outside its mask.
extension ProgramBuilder {
    public mutating func output(_ port: PortIndex) { append(.output, immediate: port.rawValue) }

    public mutating func drop(_ reason: DropReason) { append(.drop, immediate: UInt32(reason.rawValue)) }

    /// MAC addresses, 48 bits.
    public mutating func setEthernet(dst: UInt64, dstMask: UInt64, src: UInt64, srcMask: UInt64) {
        head(.setEthernet, operands: 4)
        words.append(dst)
        words.append(dstMask)
        words.append(src)
        words.append(srcMask)
    }

    /// `tci` may have its CFI bit set, as the key has it; the tag goes out with that bit 0.
    public mutating func pushVLAN(tpid: UInt16, tci: UInt16) {
        append(.pushVLAN, immediate: UInt32(tpid) << 16 | UInt32(tci))
    }

    public mutating func popVLAN() { append(.popVLAN) }

    /// `etherType`: 0x8847 or 0x8848; `entry`: the whole label stack entry.
    public mutating func pushMPLS(etherType: UInt16, entry: UInt32) {
        head(.pushMPLS, operands: 1, immediate: entry)
        words.append(UInt64(etherType))
    }

    public mutating func popMPLS(etherType: UInt16) { append(.popMPLS, immediate: UInt32(etherType)) }

    public mutating func setMPLS(entry: UInt32, mask: UInt32 = ~0) {
        head(.setMPLS, operands: 1, immediate: entry)
        words.append(UInt64(mask))
    }

    public mutating func setIPv4(
        src: UInt32, srcMask: UInt32, dst: UInt32, dstMask: UInt32,
        tos: UInt8, tosMask: UInt8, ttl: UInt8, ttlMask: UInt8
    ) {
        head(.setIPv4, operands: 4)
        words.append(UInt64(src) << 32 | UInt64(dst))
        words.append(UInt64(srcMask) << 32 | UInt64(dstMask))
        words.append(UInt64(tos) << 8 | UInt64(ttl))
        words.append(UInt64(tosMask) << 8 | UInt64(ttlMask))
    }

    /// `label`: 20 bits; `trafficClass`: the whole byte.
    public mutating func setIPv6(
        src: UInt128, srcMask: UInt128, dst: UInt128, dstMask: UInt128, label: UInt32, labelMask: UInt32,
        trafficClass: UInt8, trafficClassMask: UInt8, hopLimit: UInt8, hopLimitMask: UInt8
    ) {
        head(.setIPv6, operands: 10)
        append(wide: src)
        append(wide: srcMask)
        append(wide: dst)
        append(wide: dstMask)
        words.append(UInt64(label) << 16 | UInt64(trafficClass) << 8 | UInt64(hopLimit))
        words.append(UInt64(labelMask) << 16 | UInt64(trafficClassMask) << 8 | UInt64(hopLimitMask))
    }

    /// `ipProtocol`: 6 TCP, 17 UDP, 132 SCTP.
    public mutating func setPorts(ipProtocol: UInt8, src: UInt16, srcMask: UInt16, dst: UInt16, dstMask: UInt16) {
        head(.setPorts, flags: ipProtocol, operands: 1, immediate: UInt32(src) << 16 | UInt32(dst))
        words.append(UInt64(srcMask) << 16 | UInt64(dstMask))
    }

    /// `ipProtocol`: 1 ICMP, 58 ICMPv6.
    public mutating func setICMP(ipProtocol: UInt8, type: UInt8, typeMask: UInt8, code: UInt8, codeMask: UInt8) {
        head(.setICMP, flags: ipProtocol, operands: 1, immediate: UInt32(type) << 8 | UInt32(code))
        words.append(UInt64(typeMask) << 8 | UInt64(codeMask))
    }

    /// `spa`, `tpa`: sender and target protocol (IPv4) address; `sha`, `tha`: their hardware addresses.
    public mutating func setARP(
        operation: UInt16, operationMask: UInt16, spa: UInt32, spaMask: UInt32, tpa: UInt32, tpaMask: UInt32,
        sha: UInt64, shaMask: UInt64, tha: UInt64, thaMask: UInt64
    ) {
        head(.setARP, operands: 7, immediate: UInt32(operation))
        words.append(UInt64(spa) << 32 | UInt64(tpa))
        words.append(UInt64(spaMask) << 32 | UInt64(tpaMask))
        words.append(sha)
        words.append(shaMask)
        words.append(tha)
        words.append(thaMask)
        words.append(UInt64(operationMask))
    }

    /// `sll`, `tll`: source and target link-layer address options.
    public mutating func setND(
        target: UInt128, targetMask: UInt128, sll: UInt64, sllMask: UInt64, tll: UInt64, tllMask: UInt64
    ) {
        head(.setND, operands: 8)
        append(wide: target)
        append(wide: targetMask)
        words.append(sll)
        words.append(sllMask)
        words.append(tll)
        words.append(tllMask)
    }

    /// A field whose mask is not zero is written as a whole, as OVS does.
    public mutating func setNDExtensions(
        reserved: UInt32, reservedMask: UInt32, optionsType: UInt8, optionsTypeMask: UInt8
    ) {
        head(.setNDExtensions, operands: 2)
        words.append(UInt64(reserved) << 32 | UInt64(optionsType) << 8)
        words.append(UInt64(reservedMask) << 32 | UInt64(optionsTypeMask) << 8)
    }

    /// The next `output` sends at most `bytes` bytes of frame.
    public mutating func truncateNextOutput(to bytes: UInt32) { append(.truncate, immediate: bytes) }

    /// Opens the body for frames longer than `threshold` bytes; go on with `otherwiseCheckLength`, `endCheckLength`.
    public mutating func beginCheckLength(threshold: UInt32) -> Int {
        head(.checkLength, operands: 1, immediate: threshold)
        words.append(0)
        return words.count - 2
    }

    /// Ends the body for larger frames and opens that for the others.
    public mutating func otherwiseCheckLength(_ start: Int) {
        words[start + 1] = UInt64(words.count - start - 2) << 32
    }

    public mutating func endCheckLength(_ start: Int) {
        let larger = Int(words[start + 1] >> 32)
        words[start + 1] |= UInt64(words.count - start - 2 - larger)
    }

    public mutating func setQueue(_ queue: UInt32) { append(.setQueue, immediate: queue) }

    /// Back to the port's default queue.
    public mutating func popQueue() { append(.setQueue, flags: 1) }

    public mutating func setMark(_ value: UInt32, mask: UInt32 = ~0) {
        head(.setMark, operands: 1, immediate: value)
        words.append(UInt64(mask))
    }

    public mutating func hash(basis: UInt32, symmetric: Bool) {
        append(.hash, immediate: basis, flags: symmetric ? 1 : 0)
    }

    /// `meter` is the number of one in `MeterTable`.
    public mutating func controller(reason: UInt32, meter: UInt32? = nil) {
        guard let meter else { return append(.controller, immediate: reason) }
        head(.controller, flags: 1, operands: 1, immediate: reason)
        words.append(UInt64(meter))
    }

    public mutating func meter(_ number: UInt32) { append(.meter, immediate: number) }

    /// Sends the frame's refusal back. Nothing behind it runs.
    public mutating func reject() { append(.reject) }

    /// Sends the reply to an ARP request, a neighbour solicitation or an echo request back, `mac` being the station of
    /// the address that is asked for. Nothing behind it runs.
    public mutating func answer(mac: UInt64) {
        head(.answer, operands: 1)
        words.append(mac)
    }

    private mutating func head(_ op: DatapathOp, flags: UInt8 = 0, operands: Int, immediate: UInt32 = 0) {
        words.append(Self.head(op, flags: flags, operands: operands, immediate: immediate))
    }

    private mutating func append(wide value: UInt128) {
        words.append(UInt64(truncatingIfNeeded: value >> 64))
        words.append(UInt64(truncatingIfNeeded: value))
    }
}
