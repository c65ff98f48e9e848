import Base

/// Why a change of the configuration was refused. Nothing was changed then. The name in front is that of the OpenFlow error
/// with the same meaning, where there is one.
public struct StateError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: String, Hashable, Sendable {
        // Flows.
        case badTable = "OFPBRC_BAD_TABLE_ID"
        case overlap = "OFPFMFC_OVERLAP"
        case tableFull = "OFPFMFC_TABLE_FULL"
        case badGroup = "OFPBAC_BAD_OUT_GROUP"
        case badMeter = "OFPMMFC_INVALID_METER"
        case badGoto = "OFPBIC_BAD_TABLE_ID"
        // Groups.
        case groupExists = "OFPGMFC_GROUP_EXISTS"
        case unknownGroup = "OFPGMFC_UNKNOWN_GROUP"
        case invalidGroup = "OFPGMFC_INVALID_GROUP"
        case badBucket = "OFPGMFC_BAD_BUCKET"
        case unknownBucket = "OFPGMFC_UNKNOWN_BUCKET"
        case bucketExists = "OFPGMFC_BUCKET_EXISTS"
        case badWatch = "OFPGMFC_BAD_WATCH"
        case watchUnsupported = "OFPGMFC_WATCH_UNSUPPORTED"
        // Meters.
        case meterExists = "OFPMMFC_METER_EXISTS"
        case unknownMeter = "OFPMMFC_UNKNOWN_METER"
        case badMeterFlags = "OFPMMFC_BAD_FLAGS"
        case badMeterRate = "OFPMMFC_BAD_RATE"
        case badBand = "OFPMMFC_BAD_BAND"
        case tooManyBands = "OFPMMFC_OUT_OF_BANDS"
        case tooManyMeters = "OFPMMFC_OUT_OF_METERS"
        // TLV maps of tunnels.
        case alreadyMapped = "NXTTMFC_ALREADY_MAPPED"
        case duplicateMapping = "NXTTMFC_DUP_ENTRY"
        case badOptionLength = "NXTTMFC_BAD_OPT_LEN"
        case badTunnelField = "NXTTMFC_BAD_FIELD_IDX"
        case tlvMapFull = "NXTTMFC_TABLE_FULL"
        case mappingInUse = "NXTTMFC_INVALID_TLV_DEL"
        // Everything else.
        case unknown
        case duplicate
        case invalid
        case exhausted
    }

    public var kind: Kind
    /// A sentence without a full stop, for the user.
    public var message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String {
        kind.rawValue.hasPrefix("OFP") || kind.rawValue.hasPrefix("NXT") ? "\(message) (\(kind.rawValue))" : message
    }
}

/// Which of many changes was refused; none of them was made.
public struct BatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Place in the batch, from 0.
    public var index: Int
    public var error: StateError

    public var description: String { error.description }
}
