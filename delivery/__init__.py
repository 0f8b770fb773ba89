"""Everything that the node asks of others: documents to destinations of four kinds, and read back there.

sender        what every kind can do: send, find again, say what it takes
destination   the sender of a destination, by its kind:
  dimse         an application entity
  orthanc       Orthanc's REST interface
  dicomweb      STOW-RS, QIDO-RS
  folder        files
result        what became of one object
faults        failures to answer that are told apart
words         a peer's own words, without an identity
sameness      is what lies there what would be sent

For application entities, always as SCU but for the report of a storage commitment:
association   one association: time-outs, and what each failure means, mapped in one place
status        what a C-STORE status asks of the sender
part10        a DICOM file's identity, and its data set's bytes untouched or re-encoded for a peer that needs it
store         C-STORE of files
find          is the object really there: C-FIND at IMAGE level
commitment    storage commitment, asked of archives and told to consoles
echo          C-ECHO, and what a peer accepts
send          files and folders, as a modality sends them
retrieve      images back, by C-FIND and C-GET

http          over HTTP: what each failure means, mapped in one place
retrieve_web  images back, by QIDO-RS and WADO-RS

Waiting and trying again are not here: when and how often belongs to the ledger.
"""
