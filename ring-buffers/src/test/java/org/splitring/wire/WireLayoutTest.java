package org.splitring.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.splitring.hypervisor.GrantTable;
import org.splitring.ring.SringLayout;

/// Compares every layout and constant of this package, and the ring header, with what a C compiler
/// says about Xen's own headers (`abi-values.txt`), in both directions: no field of ours without
/// one of theirs, and none of theirs without one of ours.
class WireLayoutTest {
    static final List<String> ABIS = AbiValues.ABIS;

    private final AbiValues abiValues = AbiValues.parse(AbiValues.text());

    @ParameterizedTest
    @FieldSource("ABIS")
    void everyFieldIsWhereTheCompilerPutsIt(String abi) {
        Map<String, String> c = abiValues.of(abi);
        BlkifLayout blkif = abi.equals("x86_32") ? BlkifLayout.X86_32 : BlkifLayout.X86_64;
        Map<String, String> ours = new LinkedHashMap<>();
        putFields(ours, "blkif_sring", SringLayout.HEADER);
        ours.put("blkif_sring.ring", SringLayout.RING_OFFSET + " 0");
        putStruct(ours, "blkif_request_segment", BlkifLayout.SEGMENT);
        putStruct(ours, "blkif_request", blkif.request());
        putStruct(ours, "blkif_request_discard", blkif.discard());
        putStruct(ours, "blkif_request_indirect", blkif.indirect());
        putStruct(ours, "blkif_response", blkif.response());
        putStruct(ours, "netif_tx_request", NetifTxLayout.REQUEST);
        putStruct(ours, "netif_tx_response", NetifTxLayout.RESPONSE);
        putStruct(ours, "netif_rx_request", NetifRxLayout.REQUEST);
        putStruct(ours, "netif_rx_response", NetifRxLayout.RESPONSE);
        putStruct(ours, "netif_extra_info", NetifExtraLayout.GSO);
        putStruct(ours, "netif_extra_info", NetifExtraLayout.MCAST);
        putStruct(ours, "netif_extra_info", NetifExtraLayout.HASH);
        putStruct(ours, "xen_netif_ctrl_request", NetifCtrlLayout.REQUEST);
        putStruct(ours, "xen_netif_ctrl_response", NetifCtrlLayout.RESPONSE);
        putStruct(ours, "xen_netif_gref", NetifCtrlLayout.GREF);
        putStruct(ours, "grant_entry_v1", GrantEntryV1Layout.ENTRY);
        putStruct(ours, "xencons_interface", ConsoleRingLayout.PAGE);
        putStruct(ours, "xenstore_domain_interface", XenstoreRingLayout.PAGE);
        putStruct(ours, "xsd_sockmsg", XsdSockmsgLayout.HEADER);
        putFields(ours, "xen_9pfs_data_intf", FlexRingLayout.INTERFACE);
        ours.put("xen_9pfs_data_intf.ref", FlexRingLayout.REF + " 0");
        putFields(ours, "pvcalls_data_intf", FlexRingLayout.PVCALLS_INTERFACE);
        ours.put("pvcalls_data_intf.ref", FlexRingLayout.PVCALLS_INTERFACE.byteSize() + " 0");

        Map<String, String> theirs = new LinkedHashMap<>(c);
        theirs.values().removeIf(value -> value.indexOf(' ') < 0); // constants have one number
        assertEquals(lines(theirs), lines(ours));
    }

    @ParameterizedTest
    @FieldSource("ABIS")
    void everyConstantHasTheHeadersValue(String abi) {
        Map<String, String> theirs = new LinkedHashMap<>(abiValues.of(abi));
        theirs.values().removeIf(value -> value.indexOf(' ') >= 0);
        BlkifLayout blkif = abi.equals("x86_32") ? BlkifLayout.X86_32 : BlkifLayout.X86_64;
        Map<String, String> ours = new LinkedHashMap<>();
        putRing(ours, "blkif", blkif.entrySizeBytes());
        putRing(ours, "netif_tx", NetifTxLayout.ENTRY_SIZE_BYTES);
        putRing(ours, "netif_rx", NetifRxLayout.ENTRY_SIZE_BYTES);
        putRing(ours, "xen_netif_ctrl", NetifCtrlLayout.ENTRY_SIZE_BYTES);
        for (int order : new int[] {0, 1, 9}) {
            put(ours, "XEN_FLEX_RING_SIZE." + order, FlexRingLayout.ringSizeBytes(order));
        }
        putBlkif(ours);
        putNetif(ours);
        putGrants(ours);
        putXenstore(ours);
        assertEquals(lines(theirs), lines(ours));
    }

    private static void putBlkif(Map<String, String> ours) {
        put(ours, "BLKIF_OP_READ", BlkifOp.READ);
        put(ours, "BLKIF_OP_WRITE", BlkifOp.WRITE);
        put(ours, "BLKIF_OP_WRITE_BARRIER", BlkifOp.WRITE_BARRIER);
        put(ours, "BLKIF_OP_FLUSH_DISKCACHE", BlkifOp.FLUSH_DISKCACHE);
        put(ours, "BLKIF_OP_RESERVED_1", BlkifOp.RESERVED_1);
        put(ours, "BLKIF_OP_DISCARD", BlkifOp.DISCARD);
        put(ours, "BLKIF_OP_INDIRECT", BlkifOp.INDIRECT);
        put(ours, "BLKIF_DISCARD_SECURE", BlkifOp.DISCARD_SECURE);
        put(ours, "BLKIF_MAX_SEGMENTS_PER_REQUEST", BlkifLayout.MAX_SEGMENTS_PER_REQUEST);
        put(
                ours,
                "BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST",
                BlkifLayout.MAX_INDIRECT_PAGES_PER_REQUEST);
        put(ours, "BLKIF_RSP_OKAY", BlkifStatus.OKAY);
        put(ours, "BLKIF_RSP_ERROR", BlkifStatus.ERROR);
        put(ours, "BLKIF_RSP_EOPNOTSUPP", BlkifStatus.EOPNOTSUPP);
        put(ours, "VDISK_CDROM", BlkifInfo.CDROM);
        put(ours, "VDISK_REMOVABLE", BlkifInfo.REMOVABLE);
        put(ours, "VDISK_READONLY", BlkifInfo.READONLY);
    }

    private static void putNetif(Map<String, String> ours) {
        put(ours, "XEN_NETIF_NR_SLOTS_MIN", NetifTxLayout.NR_SLOTS_MIN);
        put(ours, "XEN_NETIF_MAX_TX_SIZE", NetifTxLayout.MAX_SIZE_BYTES);
        put(ours, "NETTXF_csum_blank", NetifTxLayout.CSUM_BLANK);
        put(ours, "NETTXF_data_validated", NetifTxLayout.DATA_VALIDATED);
        put(ours, "NETTXF_more_data", NetifTxLayout.MORE_DATA);
        put(ours, "NETTXF_extra_info", NetifTxLayout.EXTRA_INFO);
        put(ours, "NETRXF_data_validated", NetifRxLayout.DATA_VALIDATED);
        put(ours, "NETRXF_csum_blank", NetifRxLayout.CSUM_BLANK);
        put(ours, "NETRXF_more_data", NetifRxLayout.MORE_DATA);
        put(ours, "NETRXF_extra_info", NetifRxLayout.EXTRA_INFO);
        put(ours, "NETRXF_gso_prefix", NetifRxLayout.GSO_PREFIX);
        put(ours, "NETIF_RSP_DROPPED", NetifStatus.DROPPED);
        put(ours, "NETIF_RSP_ERROR", NetifStatus.ERROR);
        put(ours, "NETIF_RSP_OKAY", NetifStatus.OKAY);
        put(ours, "NETIF_RSP_NULL", NetifStatus.NULL);
        String extra = "XEN_NETIF_EXTRA_";
        put(ours, extra + "TYPE_NONE", NetifExtraLayout.TYPE_NONE);
        put(ours, extra + "TYPE_GSO", NetifExtraLayout.TYPE_GSO);
        put(ours, extra + "TYPE_MCAST_ADD", NetifExtraLayout.TYPE_MCAST_ADD);
        put(ours, extra + "TYPE_MCAST_DEL", NetifExtraLayout.TYPE_MCAST_DEL);
        put(ours, extra + "TYPE_HASH", NetifExtraLayout.TYPE_HASH);
        put(ours, extra + "TYPE_MAX", NetifExtraLayout.TYPE_MAX);
        put(ours, extra + "FLAG_MORE", NetifExtraLayout.FLAG_MORE);
        put(ours, "XEN_NETIF_GSO_TYPE_NONE", NetifExtraLayout.GSO_TYPE_NONE);
        put(ours, "XEN_NETIF_GSO_TYPE_TCPV4", NetifExtraLayout.GSO_TYPE_TCPV4);
        put(ours, "XEN_NETIF_GSO_TYPE_TCPV6", NetifExtraLayout.GSO_TYPE_TCPV6);
        String ctrl = "XEN_NETIF_CTRL_";
        put(ours, ctrl + "TYPE_INVALID", NetifCtrlLayout.TYPE_INVALID);
        put(ours, ctrl + "TYPE_GET_HASH_FLAGS", NetifCtrlLayout.TYPE_GET_HASH_FLAGS);
        put(ours, ctrl + "TYPE_SET_HASH_FLAGS", NetifCtrlLayout.TYPE_SET_HASH_FLAGS);
        put(ours, ctrl + "TYPE_SET_HASH_KEY", NetifCtrlLayout.TYPE_SET_HASH_KEY);
        put(ours, ctrl + "TYPE_GET_HASH_MAPPING_SIZE", NetifCtrlLayout.TYPE_GET_HASH_MAPPING_SIZE);
        put(ours, ctrl + "TYPE_SET_HASH_MAPPING_SIZE", NetifCtrlLayout.TYPE_SET_HASH_MAPPING_SIZE);
        put(ours, ctrl + "TYPE_SET_HASH_MAPPING", NetifCtrlLayout.TYPE_SET_HASH_MAPPING);
        put(ours, ctrl + "TYPE_SET_HASH_ALGORITHM", NetifCtrlLayout.TYPE_SET_HASH_ALGORITHM);
        put(ours, ctrl + "TYPE_GET_GREF_MAPPING_SIZE", NetifCtrlLayout.TYPE_GET_GREF_MAPPING_SIZE);
        put(ours, ctrl + "TYPE_ADD_GREF_MAPPING", NetifCtrlLayout.TYPE_ADD_GREF_MAPPING);
        put(ours, ctrl + "TYPE_DEL_GREF_MAPPING", NetifCtrlLayout.TYPE_DEL_GREF_MAPPING);
        put(ours, ctrl + "STATUS_SUCCESS", NetifCtrlLayout.STATUS_SUCCESS);
        put(ours, ctrl + "STATUS_NOT_SUPPORTED", NetifCtrlLayout.STATUS_NOT_SUPPORTED);
        put(ours, ctrl + "STATUS_INVALID_PARAMETER", NetifCtrlLayout.STATUS_INVALID_PARAMETER);
        put(ours, ctrl + "STATUS_BUFFER_OVERFLOW", NetifCtrlLayout.STATUS_BUFFER_OVERFLOW);
        put(ours, ctrl + "HASH_TYPE_IPV4", NetifCtrlLayout.HASH_TYPE_IPV4);
        put(ours, ctrl + "HASH_TYPE_IPV4_TCP", NetifCtrlLayout.HASH_TYPE_IPV4_TCP);
        put(ours, ctrl + "HASH_TYPE_IPV6", NetifCtrlLayout.HASH_TYPE_IPV6);
        put(ours, ctrl + "HASH_TYPE_IPV6_TCP", NetifCtrlLayout.HASH_TYPE_IPV6_TCP);
        put(ours, ctrl + "HASH_ALGORITHM_NONE", NetifCtrlLayout.HASH_ALGORITHM_NONE);
        put(ours, ctrl + "HASH_ALGORITHM_TOEPLITZ", NetifCtrlLayout.HASH_ALGORITHM_TOEPLITZ);
        put(ours, "XEN_NETIF_CTRLF_GREF_readonly", NetifCtrlLayout.GREF_READONLY);
    }

    private static void putGrants(Map<String, String> ours) {
        put(ours, "GTF_invalid", GrantEntryV1Layout.GTF_INVALID);
        put(ours, "GTF_permit_access", GrantEntryV1Layout.GTF_PERMIT_ACCESS);
        put(ours, "GTF_accept_transfer", GrantEntryV1Layout.GTF_ACCEPT_TRANSFER);
        put(ours, "GTF_transitive", GrantEntryV1Layout.GTF_TRANSITIVE);
        put(ours, "GTF_type_mask", GrantEntryV1Layout.GTF_TYPE_MASK);
        put(ours, "GTF_readonly", GrantEntryV1Layout.GTF_READONLY);
        put(ours, "GTF_reading", GrantEntryV1Layout.GTF_READING);
        put(ours, "GTF_writing", GrantEntryV1Layout.GTF_WRITING);
        put(ours, "GTF_PWT", GrantEntryV1Layout.GTF_PWT);
        put(ours, "GTF_PCD", GrantEntryV1Layout.GTF_PCD);
        put(ours, "GTF_PAT", GrantEntryV1Layout.GTF_PAT);
        put(ours, "GTF_sub_page", GrantEntryV1Layout.GTF_SUB_PAGE);
    }

    private static void putXenstore(Map<String, String> ours) {
        put(ours, "XENSTORE_RING_SIZE", XenstoreRingLayout.RING_SIZE_BYTES);
        put(ours, "XENSTORE_SERVER_FEATURE_RECONNECTION", XenstoreRingLayout.FEATURE_RECONNECTION);
        put(ours, "XENSTORE_SERVER_FEATURE_ERROR", XenstoreRingLayout.FEATURE_ERROR);
        put(ours, "XENSTORE_CONNECTED", XenstoreRingLayout.CONNECTED);
        put(ours, "XENSTORE_RECONNECT", XenstoreRingLayout.RECONNECT);
        put(ours, "XENSTORE_ERROR_NONE", XenstoreRingLayout.ERROR_NONE);
        put(ours, "XENSTORE_ERROR_COMM", XenstoreRingLayout.ERROR_COMM);
        put(ours, "XENSTORE_ERROR_RINGIDX", XenstoreRingLayout.ERROR_RINGIDX);
        put(ours, "XENSTORE_ERROR_PROTO", XenstoreRingLayout.ERROR_PROTO);
        put(ours, "XENSTORE_PAYLOAD_MAX", XsdSockmsgLayout.PAYLOAD_MAX_BYTES);
        put(ours, "XENSTORE_ABS_PATH_MAX", XsdSockmsgLayout.ABS_PATH_MAX_BYTES);
        put(ours, "XENSTORE_REL_PATH_MAX", XsdSockmsgLayout.REL_PATH_MAX_BYTES);
        put(ours, "XS_CONTROL", XsdSockmsgLayout.CONTROL);
        put(ours, "XS_DIRECTORY", XsdSockmsgLayout.DIRECTORY);
        put(ours, "XS_READ", XsdSockmsgLayout.READ);
        put(ours, "XS_GET_PERMS", XsdSockmsgLayout.GET_PERMS);
        put(ours, "XS_WATCH", XsdSockmsgLayout.WATCH);
        put(ours, "XS_UNWATCH", XsdSockmsgLayout.UNWATCH);
        put(ours, "XS_TRANSACTION_START", XsdSockmsgLayout.TRANSACTION_START);
        put(ours, "XS_TRANSACTION_END", XsdSockmsgLayout.TRANSACTION_END);
        put(ours, "XS_INTRODUCE", XsdSockmsgLayout.INTRODUCE);
        put(ours, "XS_RELEASE", XsdSockmsgLayout.RELEASE);
        put(ours, "XS_GET_DOMAIN_PATH", XsdSockmsgLayout.GET_DOMAIN_PATH);
        put(ours, "XS_WRITE", XsdSockmsgLayout.WRITE);
        put(ours, "XS_MKDIR", XsdSockmsgLayout.MKDIR);
        put(ours, "XS_RM", XsdSockmsgLayout.RM);
        put(ours, "XS_SET_PERMS", XsdSockmsgLayout.SET_PERMS);
        put(ours, "XS_WATCH_EVENT", XsdSockmsgLayout.WATCH_EVENT);
        put(ours, "XS_ERROR", XsdSockmsgLayout.ERROR);
        put(ours, "XS_IS_DOMAIN_INTRODUCED", XsdSockmsgLayout.IS_DOMAIN_INTRODUCED);
        put(ours, "XS_RESUME", XsdSockmsgLayout.RESUME);
        put(ours, "XS_SET_TARGET", XsdSockmsgLayout.SET_TARGET);
        put(ours, "XS_RESET_WATCHES", XsdSockmsgLayout.RESET_WATCHES);
        put(ours, "XS_DIRECTORY_PART", XsdSockmsgLayout.DIRECTORY_PART);
        put(ours, "XS_TYPE_COUNT", XsdSockmsgLayout.TYPE_COUNT);
        put(ours, "XS_INVALID", XsdSockmsgLayout.INVALID);
    }

    /// The pictures' literals once more, for a reader who does not look into the data file.
    @Test
    void pvRingHeaderAndBlkifSlotsHaveTheDocumentedSizes() {
        assertEquals(64, SringLayout.RING_OFFSET);
        assertEquals(112, BlkifLayout.X86_64.entrySizeBytes());
        assertEquals(108, BlkifLayout.X86_32.entrySizeBytes());
        assertEquals(BlkifLayout.X86_64.request(), BlkifLayout.ARM.request());
        assertEquals(BlkifLayout.X86_64.response(), BlkifLayout.ARM.response());
        assertEquals(BlkifLayout.X86_64.discard(), BlkifLayout.ARM.discard());
        assertEquals(BlkifLayout.X86_64.indirect(), BlkifLayout.ARM.indirect());
        assertEquals(512, BlkifLayout.SEGMENTS_PER_INDIRECT_PAGE);
        assertTrue(GrantEntryV1Layout.RESERVED_ENTRIES == GrantTable.FIRST_FREE);
    }

    @Test
    void h009_protocolNamesOneLayoutOrNone() {
        assertSame(BlkifLayout.X86_64, BlkifLayout.ofProtocol("x86_64-abi").orElseThrow());
        assertSame(BlkifLayout.X86_32, BlkifLayout.ofProtocol("x86_32-abi").orElseThrow());
        assertSame(BlkifLayout.ARM, BlkifLayout.ofProtocol("arm-abi").orElseThrow());
        for (String name : List.of("", "x86_64", "X86_64-ABI", "x86_64-abi ", "a".repeat(4096))) {
            assertTrue(BlkifLayout.ofProtocol(name).isEmpty(), name);
        }
    }

    private static void putStruct(Map<String, String> ours, String name, StructLayout layout) {
        ours.put(name, "- " + layout.byteSize());
        putFields(ours, name, layout);
    }

    private static void putFields(Map<String, String> ours, String name, StructLayout layout) {
        for (MemoryLayout field : layout.memberLayouts()) {
            field.name()
                    .ifPresent(
                            member ->
                                    ours.put(
                                            name + "." + member,
                                            layout.byteOffset(PathElement.groupElement(member))
                                                    + " "
                                                    + field.byteSize()));
        }
    }

    private static void putRing(Map<String, String> ours, String name, int entrySizeBytes) {
        put(ours, name + ".entry_size", entrySizeBytes);
        for (int pages = 1; pages <= 16; pages *= 2) {
            put(
                    ours,
                    name + ".entries." + pages,
                    SringLayout.entries(4096L * pages, entrySizeBytes));
        }
    }

    private static void put(Map<String, String> ours, String name, int value) {
        ours.put(name, Integer.toString(value));
    }

    private static String lines(Map<String, String> values) {
        Set<String> sorted = new TreeSet<>();
        values.forEach((name, value) -> sorted.add(name + " " + value));
        return String.join("\n", sorted);
    }
}
