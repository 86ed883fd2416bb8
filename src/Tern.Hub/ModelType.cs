using Tern.Files;

namespace Tern.Hub;

/// <summary>What a model's weights are, read from the file itself: names of files promise all kinds of things.</summary>
internal static class ModelType
{
    /// <summary>The tensor type that most weights have; what its name says, and a line for the user, where Tern cannot read the file.</summary>
    public static string Of(ModelStore store, Manifest manifest, Action<string> say)
    {
        // Parts of a split file find each other by their names, which blobs do not have.
        if (manifest.Main is null || manifest.Files.Count > 1)
            return manifest.Type;
        try
        {
            using GgufFile file = GgufFile.Open(store.Layout.Blob(manifest.Files[0].Sha256));
            return file.TensorsInOrder.GroupBy(t => t.Type.Name, StringComparer.Ordinal).MaxBy(g => g.Sum(t => t.Rows * t.Columns))?.Key ?? manifest.Type;
        }
        catch (TernException e)
        {
            say($"{manifest.Name}: is in the store, but tern cannot run it: {e.Message}");
            return manifest.Type;
        }
    }
}
