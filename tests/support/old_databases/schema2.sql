-- Written by the version of sji-edge that introduced schema 2.
BEGIN TRANSACTION;
CREATE TABLE boards (
    id INTEGER PRIMARY KEY,
    board TEXT NOT NULL UNIQUE,
    frame_index INTEGER NOT NULL,
    frame_name TEXT NOT NULL,
    utc TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REVIEW', 'FAIL', 'ERROR')),
    cause TEXT NOT NULL,
    alignment_residual_px REAL,
    engine_sha256 TEXT NOT NULL,
    recipe_sha256 TEXT NOT NULL,
    latency_ns TEXT NOT NULL
);
INSERT INTO "boards" VALUES(1,'20250131T080910.123456Z-000000',0,'board0.png','2025-01-31T08:09:10.123456+00:00','FAIL','',0.03,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr','{"infer": 1000000}');
INSERT INTO "boards" VALUES(2,'20250131T080910.123456Z-000001',1,'board1.png','2025-01-31T08:09:11.123456+00:00','PASS','',0.03,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr','{"infer": 1000000}');
INSERT INTO "boards" VALUES(3,'20250131T080910.123456Z-000002',2,'board2.png','2025-01-31T08:09:12.123456+00:00','ERROR','black: no pixel is brighter than 8',NULL,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr','{"infer": 1000000}');
CREATE TABLE joints (
    board_id INTEGER NOT NULL REFERENCES boards (id),
    position INTEGER NOT NULL,
    refdes TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REVIEW', 'FAIL', 'ERROR')),
    score REAL CHECK (score IS NOT NULL OR verdict = 'ERROR'),
    lower REAL NOT NULL,
    upper REAL NOT NULL,
    label TEXT NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (board_id, position)
) WITHOUT ROWID;
INSERT INTO "joints" VALUES(1,0,'J1','PASS',0.1,0.4,0.6,'normal','');
INSERT INTO "joints" VALUES(1,1,'J2','FAIL',0.9,0.4,0.6,'normal','');
INSERT INTO "joints" VALUES(2,0,'J1','PASS',0.1,0.4,0.6,'normal','');
INSERT INTO "joints" VALUES(2,1,'J2','PASS',0.1,0.4,0.6,'normal','');
INSERT INTO "joints" VALUES(3,0,'J1','ERROR',NULL,0.4,0.6,'','black');
INSERT INTO "joints" VALUES(3,1,'J2','ERROR',NULL,0.4,0.6,'','black');
CREATE INDEX joints_to_look_at ON joints (verdict, refdes) WHERE verdict <> 'PASS';
CREATE INDEX boards_by_time ON boards (utc);
COMMIT;
PRAGMA application_id = 1397377349;
PRAGMA user_version = 2;
