//! Sway's tree of outputs, workspaces and windows, as `GET_TREE` tells it (sway-ipc(7)).

use punktfunk_media::StageWindow;
use serde::Deserialize;

/// A node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    app_id: Option<String>,
    window_properties: Option<X11Properties>,
    focused: bool,
    /// Of windows alone.
    pid: Option<i64>,
    nodes: Vec<Node>,
    floating_nodes: Vec<Node>,
    /// Ids of children, the one used last first.
    focus: Vec<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct X11Properties {
    class: Option<String>,
}

impl Node {
    /// The windows on an output, those used last first.
    pub fn windows_on(&self, output: &str) -> Vec<StageWindow> {
        let mut windows = Vec::new();
        for node in self.nodes.iter().filter(|node| node.kind == "output" && node.name.as_deref() == Some(output)) {
            node.collect(&mut windows);
        }
        windows
    }

    fn collect(&self, windows: &mut Vec<StageWindow>) {
        if self.pid.is_some() {
            let class = self.window_properties.as_ref().and_then(|properties| properties.class.clone());
            return windows.push(StageWindow {
                id: self.id,
                title: self.name.clone().unwrap_or_default(),
                app_id: self.app_id.clone().or(class).unwrap_or_default(),
                focused: self.focused,
            });
        }
        let mut children: Vec<_> = self.nodes.iter().chain(&self.floating_nodes).collect();
        children.sort_by_key(|child| self.focus.iter().position(|id| *id == child.id).unwrap_or(usize::MAX));
        children.into_iter().for_each(|child| child.collect(windows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_told_by_output_and_use() {
        let tree = serde_json::json!({"id": 1, "type": "root", "nodes": [
            {"id": 2, "type": "output", "name": "OTHER", "nodes": [{"id": 9, "type": "con", "pid": 5}]},
            {"id": 3, "type": "output", "name": "OURS", "focus": [5, 4], "nodes": [
                {"id": 4, "type": "workspace", "focus": [7, 6],
                    "nodes": [{"id": 6, "type": "con", "pid": 1, "name": "a", "app_id": "foot"}],
                    "floating_nodes": [{"id": 7, "type": "floating_con", "pid": 2, "name": null, "app_id": null,
                        "window_properties": {"class": "XTerm"}}]},
                {"id": 5, "type": "workspace", "nodes": [{"id": 8, "type": "con", "pid": 3, "focused": true}]}]}]});
        let tree: Node = serde_json::from_value(tree).unwrap();
        let told: Vec<_> = tree.windows_on("OURS").into_iter().map(|w| (w.id, w.app_id, w.focused)).collect();
        assert_eq!(told, [(8, String::new(), true), (7, "XTerm".to_owned(), false), (6, "foot".to_owned(), false)]);
    }
}
