/// Every field that a rule can match on or an action can name, in the order in which ovs-ofctl prints a match.
public enum MatchField: Hashable, Sendable {
    case dpHash, recircID, packetType, conjID
    case tunID, tunSrc, tunDst, tunIPv6Src, tunIPv6Dst, tunFlags, tunTTL, tunTOS
    case tunGBPID, tunGBPFlags, tunERSPANVersion, tunERSPANIndex, tunERSPANDirection, tunERSPANHardwareID
    case tunGTPUFlags, tunGTPUMessageType
    /// Which bytes of the key it takes is up to the TLV map.
    case tunMetadata(TunnelMetadataField)
    case metadata, inPort, inPortOXM, skbPriority, pktMark
    case ctState, ctZone, ctMark, ctLabel, ctNwProto
    case ctNwSrc, ctNwDst, ctIPv6Src, ctIPv6Dst, ctTpSrc, ctTpDst
    /// Number 0 to 15, 0 to 7, 0 to 3.
    case reg(UInt8)
    case xreg(UInt8)
    case xxreg(UInt8)
    case actsetOutput
    case ethSrc, ethDst, ethType
    case vlanTCI, dlVLAN, vlanVID, dlVLANPCP, vlanPCP
    case mplsLabel, mplsTC, mplsBOS, mplsTTL
    case ipv4Src, ipv4Dst, ipv6Src, ipv6Dst, ipv6Label
    case nwProto, nwTOS, ipDSCP, nwECN, nwTTL, ipFrag
    case arpOp, arpSPA, arpTPA, arpSHA, arpTHA
    case tcpSrc, tcpDst, tcpFlags, udpSrc, udpDst, sctpSrc, sctpDst
    case icmpType, icmpCode, icmpv6Type, icmpv6Code
    case ndTarget, ndSLL, ndTLL, ndReserved, ndOptionsType
}

/// A run of bits of a field, as in `NXM_NX_REG0[3..7]`.
public struct Subfield: Hashable, Sendable {
    public var field: MatchField
    /// Lowest bit.
    public var offset: Int
    /// Number of bits.
    public var width: Int

    public init(_ field: MatchField, offset: Int, width: Int) {
        self.field = field
        self.offset = offset
        self.width = width
    }
}
