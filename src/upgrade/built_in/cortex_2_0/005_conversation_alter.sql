-- The state of each conversation.
-- tiers: tier1
-- files: all
-- table: conversations

-- task_status: open, in_progress, blocked, done
ALTER TABLE conversations ADD COLUMN task_status TEXT DEFAULT 'open';
ALTER TABLE conversations ADD COLUMN archived INTEGER DEFAULT 0;
ALTER TABLE conversations ADD COLUMN last_action_at TIMESTAMP;
CREATE INDEX idx_conversations_archived_recent ON conversations(archived, last_action_at DESC);
