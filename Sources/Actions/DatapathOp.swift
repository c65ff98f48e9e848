import Base

/// One step of a datapath program: what the translator writes down and the executor carries out.
///
/// A program is an array of 64-bit words. Each op starts with a head word
///
///     | opcode 8 | flags 8 | words of operands 16 | immediate 32 |
///
/// followed by its operands. A program is a straight line: `clone` runs its body on a copy of the packet and goes on
/// with the original behind it; `checkLength` has two bodies. A program ends where its words end. Reading it
/// needs no allocation and no decoding table. `ProgramBuilder` has one function for each op and is the only place
/// that packs operands; `Program+Format.swift` prints a program as `ovs-dpctl` would.
///
/// Masked sets carry (value, mask) pairs: bits outside the mask keep what the frame has. Values have no bits outside
/// their mask. Which headers a frame has was decided by the translator from the key; an executor that finds the bytes
/// missing (a frame cut short) drops it as `malformedRewrite`.
public enum DatapathOp: UInt8, Sendable {
    /// imm: `PortIndex`. Sends a copy as the packet stands now.
    case output = 1
    /// imm: `DropReason`. Names why nothing (more) is sent; ends the program (or the body it stands in).
    case drop
    /// Operands: dst value, dst mask, src value, src mask (48 bits each).
    case setEthernet
    /// imm: TPID << 16 | TCI. The CFI bit of the TCI only says that there is a tag, as in the key: it goes out as 0.
    case pushVLAN
    case popVLAN
    /// imm: label stack entry. Operand: EtherType. Pushes in front of the network header, or of the outermost entry.
    case pushMPLS
    /// imm: EtherType of what is below.
    case popMPLS
    /// imm: outermost label stack entry. Operand: mask.
    case setMPLS
    /// Operands: src<<32|dst value, mask; tos<<8|ttl value, mask.
    case setIPv4
    /// Operands: src hi, lo, mask hi, lo; dst hi, lo, mask hi, lo; label<<16|tc<<8|hop limit value, mask.
    case setIPv6
    /// imm: src port << 16 | dst port; operand: mask likewise. TCP, UDP or SCTP by IP protocol in flags.
    case setPorts
    /// imm: type << 8 | code; operand: mask likewise. ICMP or ICMPv6 by IP protocol in flags.
    case setICMP
    /// imm: operation (16 bit). Operands: spa<<32|tpa value, mask; sha value, mask; tha value, mask; op mask.
    case setARP
    /// Operands: target hi, lo, mask hi, lo; sll value, mask; tll value, mask. Writes the option that is there.
    case setND
    /// Operands: reserved << 32 | options type << 8 value, mask.
    case setNDExtensions
    /// imm: bytes. The next `output` sends at most so many.
    case truncate
    /// imm: words of the body that follows. Runs it on a copy.
    case clone
    /// imm: threshold in bytes (frame without L2 pad). Operand: words of the body for larger frames << 32 | words of
    /// the other body; both follow, in this order. The body runs on a copy, like that of `clone`.
    case checkLength
    /// imm: queue id; flags 1: back to default.
    case setQueue
    /// imm: value. Operand: mask.
    case setMark
    /// imm: basis. flags: 0 five-tuple, 1 symmetric layer 3 and 4. Leaves the result in the packet's `hash`.
    case hash
    /// imm: reason. A frame for a controller that is not there: counted, nothing sent. flags 1: the operand is the number
    /// of a meter that the frame has to pass first.
    case controller
    /// imm: flags << 16 | zone. Operands: mark << 32 | its mask; label hi, lo; its mask hi, lo; ports and choice of a NAT
    /// range; first address hi, lo; last address hi, lo. Connection tracking: see `TrackRequest`.
    case track
    /// Forgets what connection tracking found out.
    case trackClear
    /// imm: id of a frozen state. Sends a copy back to the flow tables, where that state left off.
    case recirculate
    /// imm: number of a guard; flags 1: reply direction. Only in programs of sessions: translates as the guarded connection says.
    case translate
    /// imm: number in `MeterTable`. A frame that exceeds the meter ends here.
    case meter
    /// Turns the frame into its refusal and sends that back through the port it came in through: see Answer+Reject.swift.
    /// Ends the program (or the body it stands in), as do those that get none: `unanswerable`, `rejectRateLimited`.
    case reject
    /// Operand: MAC address (48 bits). Turns an ARP request, a neighbour solicitation or an echo request into its reply
    /// and sends that back; the address asked for is that of the MAC. Ends the program (or the body it stands in).
    case answer

    /// The op with this code, as `init(rawValue:)` says, in two instructions: the codes run from 1 without a gap.
    @inlinable @inline(__always)
    public init?(code: UInt8) {
        guard code &- 1 < Self.answer.rawValue else { return nil }
        self = unsafeBitCast(code &- 1, to: DatapathOp.self)
    }
}
