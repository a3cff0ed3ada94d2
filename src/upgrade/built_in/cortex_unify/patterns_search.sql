-- The index does not hold the texts: it needs the old ones when they are removed. The triggers of 1.0 change the
-- index itself, when the old texts are gone already.
DROP TRIGGER IF EXISTS patterns_ai;
DROP TRIGGER IF EXISTS patterns_ad;
DROP TRIGGER IF EXISTS patterns_au;

CREATE TRIGGER patterns_ai AFTER INSERT ON patterns BEGIN
    INSERT INTO pattern_fts(rowid, pattern_id, title, content) VALUES (new.id, new.pattern_id, new.title, new.content);
END;

CREATE TRIGGER patterns_ad AFTER DELETE ON patterns BEGIN
    INSERT INTO pattern_fts(pattern_fts, rowid, pattern_id, title, content)
    VALUES ('delete', old.id, old.pattern_id, old.title, old.content);
END;

CREATE TRIGGER patterns_au AFTER UPDATE OF id, pattern_id, title, content ON patterns BEGIN
    INSERT INTO pattern_fts(pattern_fts, rowid, pattern_id, title, content)
    VALUES ('delete', old.id, old.pattern_id, old.title, old.content);
    INSERT INTO pattern_fts(rowid, pattern_id, title, content) VALUES (new.id, new.pattern_id, new.title, new.content);
END;

INSERT INTO pattern_fts(pattern_fts) VALUES ('rebuild');
