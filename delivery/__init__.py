"""Everything that the node asks of other application entities: C-ECHO, C-STORE and C-FIND, always as SCU.

association   one association: time-outs, and what each failure means, mapped in one place
status        what a C-STORE status asks of the sender
part10        a DICOM file's identity, and its data set's bytes untouched or re-encoded for a peer that needs it
store         C-STORE of files
find          is the object really there: C-FIND at IMAGE level
echo          C-ECHO, and what a peer accepts
send          files and folders, as a modality sends them

Waiting and trying again are not here: when and how often belongs to the ledger.
"""
