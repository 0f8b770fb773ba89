BEGIN TRANSACTION;
CREATE TABLE delivery (
	sop_instance_uid VARCHAR NOT NULL, 
	destination VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	owed_at FLOAT NOT NULL, 
	stored_at FLOAT, 
	verified_at FLOAT, 
	attempts INTEGER NOT NULL, 
	last_status VARCHAR, 
	PRIMARY KEY (sop_instance_uid, destination), 
	FOREIGN KEY(sop_instance_uid) REFERENCES document (sop_instance_uid)
);
INSERT INTO "delivery" VALUES('2.25.900','pacs','STORED',1790000000.0,1790000000.0,NULL,0,'stored');
INSERT INTO "delivery" VALUES('2.25.900','elsewhere','PENDING',1790000000.0,NULL,NULL,0,NULL);
CREATE TABLE destination (
	name VARCHAR NOT NULL, 
	failures INTEGER NOT NULL, 
	paused_until FLOAT NOT NULL, 
	down_since FLOAT, 
	last_error TEXT, 
	last_ok_at FLOAT, 
	PRIMARY KEY (name)
);
INSERT INTO "destination" VALUES('pacs',0,0.0,NULL,NULL,1790000000.0);
INSERT INTO "destination" VALUES('elsewhere',1,1790000005.0,1790000000.0,'no answer',NULL);
CREATE TABLE document (
	sop_instance_uid VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	sop_class_uid VARCHAR NOT NULL, 
	study_instance_uid VARCHAR NOT NULL, 
	series_instance_uid VARCHAR NOT NULL, 
	path TEXT NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	made_at FLOAT NOT NULL, 
	PRIMARY KEY (sop_instance_uid)
);
INSERT INTO "document" VALUES('2.25.900','sc','1.2.840.10008.5.1.4.1.1.7','2.25.100','2.25.901','/data/results/2.25.900.dcm','aa',1790000000.0);
CREATE TABLE heartbeat (
	part VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (part)
);
INSERT INTO "heartbeat" VALUES('worker@clinic:77',1790000000.0);
CREATE TABLE image (
	id INTEGER NOT NULL, 
	sop_instance_uid VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	sop_class_uid VARCHAR NOT NULL, 
	study_instance_uid VARCHAR NOT NULL, 
	series_instance_uid VARCHAR NOT NULL, 
	transfer_syntax_uid VARCHAR NOT NULL, 
	path TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	calling_ae VARCHAR NOT NULL, 
	called_ae VARCHAR NOT NULL, 
	peer_host VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	received_at FLOAT NOT NULL, 
	answer JSON, 
	PRIMARY KEY (id), 
	UNIQUE (sop_instance_uid, sha256)
);
INSERT INTO "image" VALUES(1,'2.25.1','00','1.2.840.10008.5.1.4.1.1.1.1','2.25.100','2.25.50','1.2.840.10008.1.2.1','/data/spool/images/00/00.dcm',1000,'DRROOM1','HOUNDSFIELD','192.0.2.21','room-1',1,1790000000.0,'{"ref": {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1", "sop_instance_uid": "2.25.1", "frame_number": null}, "outcome": "DECLINED", "reason": {"code": "no_model", "details": {}}, "rows": 0, "columns": 0, "view": null, "view_source": "unknown", "region": null, "region_source": "unknown", "species": null, "species_source": "unknown", "models": []}');
INSERT INTO "image" VALUES(2,'2.25.2','01','1.2.840.10008.5.1.4.1.1.1.1','2.25.100','2.25.50','1.2.840.10008.1.2.1','/data/spool/images/01/01.dcm',1001,'DRROOM1','HOUNDSFIELD','192.0.2.21','room-1',2,1790000000.0,NULL);
INSERT INTO "image" VALUES(3,'2.25.3','02','1.2.840.10008.5.1.4.1.1.1.1','2.25.200','2.25.50','1.2.840.10008.1.2.1','/data/spool/images/02/02.dcm',1002,'DRROOM1','HOUNDSFIELD','192.0.2.21','room-1',1,1790000000.0,NULL);
CREATE TABLE node (
	name VARCHAR NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "node" VALUES('namespace','0b6f9e0e-6a0c-4c3e-9f5a-2f1b7c1d9e55');
CREATE TABLE refused_caller (
	calling_ae VARCHAR NOT NULL, 
	called_ae VARCHAR NOT NULL, 
	peer_host VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	last_at FLOAT NOT NULL, 
	PRIMARY KEY (calling_ae, called_ae, peer_host)
);
INSERT INTO "refused_caller" VALUES('STRANGER','HOUNDSFIELD','192.0.2.99','unknown sender',1,1790000000.0);
CREATE TABLE study (
	study_instance_uid VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	revision INTEGER NOT NULL, 
	evidence VARCHAR, 
	first_received_at FLOAT NOT NULL, 
	last_received_at FLOAT NOT NULL, 
	PRIMARY KEY (study_instance_uid)
);
INSERT INTO "study" VALUES('2.25.100','RECEIVING',0,NULL,1790000000.0,1790000000.0);
INSERT INTO "study" VALUES('2.25.200','RECEIVING',0,NULL,1790000000.0,1790000000.0);
CREATE TABLE task (
	id INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	queue VARCHAR NOT NULL, 
	destination VARCHAR, 
	priority INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	run_at FLOAT NOT NULL, 
	first_at FLOAT NOT NULL, 
	started_at FLOAT, 
	attempts INTEGER NOT NULL, 
	lease_until FLOAT, 
	token VARCHAR, 
	error TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "task" VALUES(1,'image','1','analysis',NULL,0,'done',1790000000.0,1790000000.0,1790000000.0,0,NULL,NULL,NULL);
INSERT INTO "task" VALUES(2,'study','2.25.100','analysis',NULL,0,'ready',1790000003.0,1790000000.0,NULL,0,NULL,NULL,NULL);
INSERT INTO "task" VALUES(3,'image','2','analysis',NULL,0,'running',1790000000.0,1790000000.0,1790000000.0,0,1790000030.0,'81af5e00c6194b5eb6a9f63842f2ba68',NULL);
INSERT INTO "task" VALUES(4,'image','3','analysis',NULL,0,'ready',1790000000.0,1790000000.0,NULL,0,NULL,NULL,NULL);
INSERT INTO "task" VALUES(5,'study','2.25.200','analysis',NULL,0,'ready',1790000003.0,1790000000.0,NULL,0,NULL,NULL,NULL);
INSERT INTO "task" VALUES(6,'deliver','2.25.900>pacs','delivery','pacs',0,'done',1790000000.0,1790000000.0,1790000000.0,0,NULL,NULL,NULL);
INSERT INTO "task" VALUES(7,'deliver','2.25.900>elsewhere','delivery','elsewhere',0,'dead',1790000000.0,1790000000.0,1790000000.0,1,NULL,NULL,'it was refused: status 0xA900');
CREATE INDEX ix_image_study_instance_uid ON image (study_instance_uid);
CREATE INDEX task_key ON task (kind, "key");
CREATE INDEX task_claim ON task (queue, run_at) WHERE state = 'ready';
CREATE INDEX task_lease ON task (lease_until) WHERE state = 'running';
CREATE INDEX task_dead ON task (id) WHERE state = 'dead';
CREATE UNIQUE INDEX task_owed_once ON task (kind, "key") WHERE state = 'ready';
CREATE INDEX ix_document_study_instance_uid ON document (study_instance_uid);
CREATE INDEX delivery_backlog ON delivery (destination, state);
COMMIT;
